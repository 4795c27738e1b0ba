import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StandardsErrorCodes } from '../errors.ts';
import { type AccountingEntry, auditEventOf } from './audit-event.ts';
import { consentOfDirective, type DirectiveContent, directiveOfConsent } from './consent.ts';
import { readResource } from './reader.ts';
import { exampleFiles } from './test-data.ts';
import { validateResource } from './validation.ts';

const code = fc.stringMatching(/^[A-Za-z0-9_.:-]{1,12}$/);
const codes = fc.uniqueArray(code, { minLength: 1, maxLength: 4 });
const did = fc.stringMatching(/^did:salus:[A-Za-z0-9_-]{27}$/);
const timeMs = fc.integer({ min: 0, max: 4_102_444_800_000 });
const selection = fc.record({ categories: codes, labels: codes, records: codes }, { requiredKeys: [] });
const grantee = fc.oneof(
  fc.record({ kind: fc.constant('person' as const), id: did }),
  fc.record({ kind: fc.constant('organization' as const), id: did }),
  fc.record({ kind: fc.constant('role' as const), id: code, within: did }, { requiredKeys: ['kind', 'id'] }),
  fc.constant({ kind: 'careTeam' as const }),
  fc.constant({ kind: 'anyone' as const }),
);
const period = fc.record({ fromMs: timeMs, untilMs: timeMs }, { requiredKeys: [] });

const directive: fc.Arbitrary<DirectiveContent> = fc.record(
  {
    format: fc.constant('salus-directive/1' as const),
    id: code,
    patient: did,
    custodian: did,
    effect: fc.constantFrom('permit' as const, 'deny' as const),
    grantees: fc.array(grantee, { minLength: 1, maxLength: 4 }),
    what: fc
      .tuple(selection, fc.option(selection, { nil: undefined }), fc.option(period, { nil: undefined }), fc.boolean())
      .map(([some, except, within, all]) => ({
        ...some,
        ...(except && Object.keys(except).length > 0 ? { except } : {}),
        ...(within && Object.keys(within).length > 0 ? { period: within } : {}),
        all,
      })),
    purposes: fc.uniqueArray(code, { maxLength: 3 }),
    actions: fc.uniqueArray(fc.constantFrom('read' as const, 'correct' as const, 'share' as const, 'compute' as const)),
    fromMs: timeMs,
    untilMs: timeMs,
    usesMax: fc.integer({ min: 1, max: 1000 }),
    condition: fc.record({
      kind: fc.constantFrom('referral' as const, 'encounter' as const, 'prescription' as const, 'enrolment' as const),
      id: code,
    }),
    obligations: fc.uniqueArray(
      fc.constantFrom('notify' as const, 'noRedisclosure' as const, 'deidentifiedOnly' as const),
      { minLength: 1 },
    ),
    issuer: did,
    text: fc.string({ minLength: 1 }),
    language: fc.constantFrom('en', 'es-US'),
    readingLevel: fc.integer({ min: 1, max: 20 }),
  },
  {
    requiredKeys: [
      'format',
      'id',
      'patient',
      'custodian',
      'effect',
      'grantees',
      'what',
      'purposes',
      'actions',
      'issuer',
    ],
  },
);

describe('R-CON-1 a directive goes to FHIR Consent and back', () => {
  it('without loss, through JSON, and as a valid resource', () => {
    fc.assert(
      fc.property(directive, (content) => {
        const consent = consentOfDirective(content, { dateTime: '2026-01-01T00:00:00Z' });
        expect(validateResource(consent)).toEqual([]);
        expect(directiveOfConsent(JSON.parse(JSON.stringify(consent)))).toEqual(content);
      }),
    );
  });

  it('says the same to a reader that knows R4 only', () => {
    const consent = consentOfDirective({
      format: 'salus-directive/1',
      id: 'd1',
      patient: `did:salus:${'p'.repeat(27)}`,
      custodian: `did:salus:${'h'.repeat(27)}`,
      effect: 'permit',
      grantees: [{ kind: 'organization', id: `did:salus:${'c'.repeat(27)}` }],
      what: { all: true, except: { labels: ['PSY'] } },
      purposes: ['TREAT'],
      actions: ['read'],
      fromMs: 0,
      untilMs: 86_400_000,
      issuer: `did:salus:${'p'.repeat(27)}`,
    });
    expect(consent).toMatchObject({
      status: 'active',
      policyRule: { coding: [{ code: 'OPTIN' }] },
      provision: {
        type: 'permit',
        period: { start: '1970-01-01T00:00:00.000Z', end: '1970-01-02T00:00:00.000Z' },
        action: [{ coding: [{ code: 'access' }] }],
        purpose: [{ code: 'TREAT' }],
        provision: [{ type: 'deny', securityLabel: [{ code: 'PSY' }] }],
      },
    });
  });

  it('refuses by number what a directive cannot say', () => {
    const base = consentOfDirective({
      format: 'salus-directive/1',
      id: 'd',
      patient: 'Patient/1',
      custodian: 'Organization/1',
      effect: 'deny',
      grantees: [{ kind: 'anyone' }],
      what: { all: true },
      purposes: [],
      actions: [],
      issuer: 'Patient/1',
    });
    const provision = base.provision as object;
    const cases: [object, number][] = [
      [{ ...base, provision: undefined }, StandardsErrorCodes.consentInvalid],
      [{ ...base, identifier: [] }, StandardsErrorCodes.consentInvalid],
      [
        { ...base, provision: { ...provision, provision: [{ type: 'permit' }, { type: 'permit' }] } },
        StandardsErrorCodes.consentUnsupported,
      ],
      [
        { ...base, provision: { ...provision, provision: [{ type: 'permit', actor: [{}] }] } },
        StandardsErrorCodes.consentUnsupported,
      ],
      [{ ...base, provision: { ...provision, code: [{ text: 'x' }] } }, StandardsErrorCodes.consentUnsupported],
      [
        { ...base, provision: { ...provision, action: [{ coding: [{ code: 'collect' }] }] } },
        StandardsErrorCodes.consentUnsupported,
      ],
    ];
    for (const [consent, code] of cases) {
      expect(() => directiveOfConsent(consent as never)).toThrow(expect.objectContaining({ code }));
    }
  });

  it.skipIf(exampleFiles().length === 0)(
    'refuses R4 examples that it cannot say (skipped where SALUS_DATA has none)',
    () => {
      for (const file of exampleFiles().filter((name) => /\/Consent-/.test(name))) {
        const consent = readResource(readFileSync(file));
        expect(() => directiveOfConsent(consent)).toThrow(/^The Consent (lacks|contains)/);
      }
    },
  );
});

describe('R-CON-3 the accounting of disclosures as FHIR AuditEvent (IHE BALP)', () => {
  const entry: AccountingEntry = {
    id: 'a1',
    timeMs: 1_700_000_000_000,
    action: 'read',
    outcome: 'permitted',
    patient: 'did:salus:p',
    custodian: { id: 'did:salus:h', name: 'Hospital' },
    requester: { id: 'did:salus:d', name: 'Dr. X', role: 'doctor', organization: { id: 'did:salus:c' } },
    purpose: 'TREAT',
    basis: { kind: 'directive', id: 'd1', citation: '45 CFR 164.506' },
    records: [{ id: 'r1', type: 'Observation' }],
    transaction: 'ab'.repeat(32),
  };

  it('says who, when, what, why, on which basis, with the proof', () => {
    expect(auditEventOf(entry)).toMatchObject({
      resourceType: 'AuditEvent',
      meta: { profile: ['https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead'] },
      action: 'R',
      recorded: '2023-11-14T22:13:20.000Z',
      outcome: '0',
      purposeOfEvent: [{ coding: [{ code: 'TREAT' }] }],
      agent: [
        {
          who: { identifier: { value: 'did:salus:d' }, display: 'Dr. X' },
          requestor: true,
          policy: ['urn:salus:directive:d1?citation=45%20CFR%20164.506'],
        },
        { who: { identifier: { value: 'did:salus:c' } }, requestor: false },
        { who: { display: 'Hospital' }, requestor: false },
      ],
      entity: [
        { role: { code: '1' } },
        { what: { identifier: { value: 'r1' } } },
        { what: { identifier: { value: 'ab'.repeat(32) } } },
      ],
    });
  });

  it.each(['read', 'search', 'export', 'create', 'correct', 'share', 'compute', 'erase', 'breakGlass'] as const)(
    '%s is valid R4',
    (action) => {
      const event = auditEventOf({ ...entry, action, outcome: 'denied', late: true, basis: undefined });
      expect(validateResource(event)).toEqual([]);
      expect(event.outcome).toBe('4');
    },
  );
});
