/** The edges of permits and of the law. Tests only. */
import { by, C, DAY_MS, did, directive, drH, drX, I, no, nurseC, payment, type Row, T0, treatment } from './parts.ts';

export const permitEdges: Row[] = [
  {
    name: 'permit at another custodian',
    requester: drX,
    directives: [directive('elsewhere', { custodian: C })],
    expect: no('no-applicable-rule'),
  },
  { name: 'permit for others', requester: drX, directives: [payment], expect: no('no-applicable-rule') },
  {
    name: 'permit for another purpose',
    requester: drX,
    directives: [directive('research-only', { purposes: ['HRESCH'] })],
    expect: no('no-applicable-rule'),
  },
  {
    name: 'permit for another action',
    requester: drX,
    directives: [directive('correct-only', { actions: ['correct'] })],
    expect: no('no-applicable-rule'),
  },
  {
    name: 'permit of a period, entry outside',
    requester: drX,
    record: { periodMs: T0 - 10 * DAY_MS },
    directives: [directive('recent', { what: { all: true, period: { fromMs: T0 - DAY_MS } } })],
    expect: no('no-applicable-rule'),
  },
  {
    name: 'permit of a period, entry inside',
    requester: drX,
    record: { periodMs: T0 - DAY_MS },
    directives: [directive('recent', { what: { all: true, period: { fromMs: T0 - DAY_MS } } })],
    expect: by('directive', 'recent'),
  },
  {
    name: 'permit of a period, entry undated',
    requester: drX,
    directives: [directive('recent', { what: { all: true, period: { fromMs: 1 } } })],
    expect: no('no-applicable-rule'),
  },
  {
    name: 'permit for a role within the clinic',
    requester: nurseC,
    directives: [directive('nurses', { grantees: [{ kind: 'role', id: 'nurse', within: C }] })],
    expect: by('directive', 'nurses'),
  },
  {
    name: 'permit for that role, another organisation',
    requester: { ...nurseC, organization: I },
    directives: [directive('nurses', { grantees: [{ kind: 'role', id: 'nurse', within: C }] })],
    expect: no('no-applicable-rule'),
  },
  {
    name: 'permit used up',
    requester: drX,
    directives: [directive('three', { usesMax: 3 }, { status: 'used-up', usesLeft: 1 })],
    expect: no('used-up'),
  },
  {
    name: 'permit expired on the ledger',
    requester: drX,
    directives: [directive('week', {}, { status: 'active', expiresMs: T0 })],
    expect: no('expired'),
  },
  {
    name: 'permit not yet in force',
    requester: drX,
    directives: [directive('later', { fromMs: T0 + 1 })],
    expect: no('not-yet'),
  },
  {
    name: 'unlimited permit spares the counted one',
    requester: drX,
    directives: [directive('a-counted', { usesMax: 3 }, { status: 'active', usesLeft: 3 }), directive('free')],
    expect: by('directive', 'free'),
  },
  {
    name: "a person's own permit is never unusual",
    requester: { ...drX, signals: ['no-appointment'] },
    directives: [directive('mine', { grantees: [{ kind: 'person', id: did('drX') }] })],
    expect: by('directive', 'mine'),
  },
  {
    name: 'in-house access out of the ordinary is flagged',
    requester: { ...drH, signals: ['no-appointment'] },
    expect: { ...treatment, flags: ['unusual'] },
  },
  {
    name: "custodian's clerk does not treat",
    requester: { ...drH, roles: ['clerk'] },
    expect: no('no-applicable-rule'),
  },
  {
    name: "custodian's own staff shares with nobody by rule",
    requester: drH,
    action: 'share',
    expect: no('no-applicable-rule'),
  },
  {
    name: 'substance-use record within its own program',
    requester: drH,
    record: { labels: ['ETH'] },
    expect: treatment,
  },
  {
    name: "substance-use record for the custodian's billing",
    requester: { ...drH, roles: ['billing'] },
    purpose: 'HPAYMT',
    record: { labels: ['ETH'] },
    expect: no('specific-consent-required'),
  },
  {
    name: 'psychotherapy notes for their author',
    requester: drH,
    record: { labels: ['PSYTHPN'], author: did('drH') },
    expect: treatment,
  },
  {
    name: 'psychotherapy notes for a colleague',
    requester: drH,
    record: { labels: ['PSYTHPN'], author: did('other') },
    expect: no('specific-consent-required'),
  },
  {
    name: 'confidential service for the treating doctor',
    requester: drH,
    record: { labels: ['SEX'] },
    expect: treatment,
  },
];
