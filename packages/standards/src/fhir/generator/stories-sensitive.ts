import type { Condition, Reference } from '@medplum/fhirtypes';
import {
  addAllergy,
  addClaim,
  addCondition,
  addImaging,
  addLabs,
  addMedication,
  addNote,
  addProcedure,
  VISITS,
} from './clinical.ts';
import { cpt, DRUGS, LABS, loinc, sct } from './codes.ts';
import { CONSULT_NOTE, course, DISCHARGE_SUMMARY, METABOLIC, PROGRESS_NOTE, type Story } from './story.ts';

export const hiddenInteraction: Story = {
  name: 'hidden-interaction',
  shows: ['mental health', 'psychotherapy notes', 'hidden interaction: sertraline and a triptan', 'penicillin allergy'],
  tell(record) {
    let depression: Reference<Condition> | undefined;
    course(
      record,
      {
        at: 'birchwater',
        by: 'novak',
        count: 6,
        reason: sct('370143000', 'Major depressive disorder'),
        everyDays: 60,
        lastDaysAgo: 25,
      },
      (visit, step, index) => {
        if (index === 0) {
          depression = addCondition(record, visit, sct('370143000', 'Major depressive disorder'));
          addMedication(record, visit, DRUGS.sertraline, { dose: '50 mg once daily', reason: depression, fills: 4 });
        }
        record.observation(visit, 'survey', LABS.phq9, 19 - 12 * step);
        record.observation(visit, 'survey', LABS.gad7, 14 - 8 * step);
        addProcedure(record, visit, sct('75516001', 'Psychotherapy'), depression);
        addNote(
          record,
          visit,
          loinc('28627-0', 'Psychiatry Progress note'),
          `Psychotherapy note, session ${index + 1}. Spoke about sleep and work. Mood improving. No thoughts of self-harm.`,
          { code: 'PSYTHPN', display: 'psychotherapy note information sensitivity' },
        );
      },
    );
    const first = record.visit({
      at: 'harborlight',
      by: 'lindqvist',
      daysAgo: 900,
      code: VISITS.emergency,
      class: 'EMER',
    });
    addAllergy(record, first, sct('91936005', 'Allergy to penicillin'), sct('39579001', 'Anaphylaxis'));
    addNote(record, first, CONSULT_NOTE, 'Anaphylaxis after amoxicillin. Epinephrine given, observed for six hours.');
    addClaim(record, first, cpt('99284', 'Emergency department visit'), 96_000);
    const second = record.visit({ at: 'harborlight', by: 'okafor', daysAgo: 12, code: VISITS.problem });
    const migraine = addCondition(record, second, sct('37796009', 'Migraine'));
    addMedication(record, second, DRUGS.sumatriptan, { dose: '50 mg at onset, at most twice a day', reason: migraine });
    addLabs(record, second, METABOLIC, { glucose: 92, creatinine: 0.8, potassium: 4.1, sodium: 139 });
    addClaim(record, second, cpt('99204', 'Office visit, new patient'), 21_000);
  },
};

export const teenager: Story = {
  name: 'teenager-with-confidential-service',
  shows: ['sixteen years old', 'confidential sexual health service', 'parent may not see it'],
  tell(record) {
    const visit = record.visit({
      at: 'birchwater',
      by: 'castellanos',
      daysAgo: 95,
      code: VISITS.problem,
      reason: sct('13197004', 'Contraception'),
    });
    record.observe(visit, 'laboratory', loinc('2106-3', 'Choriogonadotropin (pregnancy test) [Presence] in Urine'), {
      valueCodeableConcept: sct('260385009', 'Negative'),
    });
    record.observe(visit, 'laboratory', loinc('21613-5', 'Chlamydia trachomatis DNA [Presence] by NAA'), {
      valueCodeableConcept: sct('10828004', 'Positive'),
    });
    const infection = addCondition(record, visit, sct('240589008', 'Chlamydia trachomatis infection'), 'resolved');
    addMedication(record, visit, DRUGS.azithromycin, {
      dose: '1 g once',
      reason: infection,
      status: 'completed',
      fills: 1,
    });
    addMedication(record, visit, DRUGS.contraceptive, { dose: 'one tablet daily', fills: 2 });
    addNote(
      record,
      visit,
      PROGRESS_NOTE,
      'Asked for contraception in confidence. Consent and safety discussed. Results by own portal only.',
    );
    addClaim(record, visit, cpt('99213', 'Office visit, established patient'), 12_000);
    const sports = record.visit({
      at: 'harborlight',
      by: 'lindqvist',
      daysAgo: 210,
      code: VISITS.emergency,
      class: 'EMER',
    });
    addCondition(record, sports, sct('44465007', 'Sprain of ankle'), 'resolved');
    addImaging(record, sports, 'DX', loinc('36551-0', 'XR Ankle Views'), 'No fracture.');
    addMedication(record, sports, DRUGS.ibuprofen, {
      dose: '400 mg three times daily for 5 days',
      status: 'completed',
    });
    addClaim(record, sports, cpt('99283', 'Emergency department visit'), 54_000);
  },
};

export const hiv: Story = {
  name: 'hiv',
  shows: ['HIV label', 'viral load trend', 'hidden from payers and staff without need'],
  tell(record) {
    let infection: Reference<Condition> | undefined;
    course(
      record,
      {
        at: 'harborlight',
        by: 'okafor',
        count: 9,
        reason: sct('86406008', 'Human immunodeficiency virus infection'),
        everyDays: 120,
        lastDaysAgo: 30,
        cents: 24_000,
      },
      (visit, step, index) => {
        if (index === 0) {
          infection = addCondition(record, visit, sct('86406008', 'Human immunodeficiency virus infection'));
          addMedication(record, visit, DRUGS.biktarvy, { dose: 'one tablet daily', reason: infection, fills: 5 });
        }
        addLabs(record, visit, loinc('24466-5', 'CD3+CD4+ (T4 helper) cells panel'), {
          hivLoad: Math.max(20, Math.round(84_000 * 0.08 ** index)),
          cd4: 310 + 340 * step,
          creatinine: record.random.around(0.95, 0.15, 2),
          leukocytes: record.random.around(5.6, 1.4, 1),
        });
        addNote(
          record,
          visit,
          PROGRESS_NOTE,
          index === 0
            ? 'Antiretroviral treatment started the same day.'
            : 'Taking treatment daily, feels well. Undetectable means untransmittable discussed.',
        );
      },
    );
  },
};

export const substanceUse: Story = {
  name: 'substance-use',
  shows: ['42 CFR Part 2 record', 'specific consent needed'],
  tell(record) {
    let disorder: Reference<Condition> | undefined;
    course(
      record,
      {
        at: 'birchwater',
        by: 'castellanos',
        count: 8,
        reason: sct('75544000', 'Opioid dependence'),
        everyDays: 35,
        lastDaysAgo: 14,
      },
      (visit, _step, index) => {
        if (index === 0) {
          disorder = addCondition(record, visit, sct('75544000', 'Opioid dependence'));
          addMedication(record, visit, DRUGS.buprenorphine, {
            dose: '8 mg/2 mg once daily under the tongue',
            reason: disorder,
            fills: 6,
          });
          addMedication(record, visit, DRUGS.naloxone, {
            dose: 'one spray in an overdose',
            reason: disorder,
            fills: 1,
          });
        }
        record.observe(visit, 'laboratory', loinc('19295-5', 'Opiates [Presence] in Urine by Screen method'), {
          valueCodeableConcept: index < 2 ? sct('10828004', 'Positive') : sct('260385009', 'Negative'),
        });
        addProcedure(record, visit, sct('60112009', 'Drug addiction counseling'), disorder);
        addNote(
          record,
          visit,
          PROGRESS_NOTE,
          `Opioid treatment program, visit ${index + 1}. Stable on medication. Housing arranged.`,
          {
            code: 'ETH',
            display: 'substance abuse information sensitivity',
          },
        );
      },
    );
    const visit = record.visit({
      at: 'harborlight',
      by: 'lindqvist',
      daysAgo: 330,
      code: VISITS.emergency,
      class: 'EMER',
      minutes: 600,
    });
    addCondition(record, visit, sct('55680006', 'Drug overdose'), 'resolved');
    addLabs(record, visit, METABOLIC, { glucose: 118, creatinine: 1.1, potassium: 3.9, sodium: 137 });
    addNote(
      record,
      visit,
      DISCHARGE_SUMMARY,
      'Overdose reversed with naloxone. Referred to the opioid treatment program.',
    );
    addClaim(record, visit, cpt('99285', 'Emergency department visit'), 134_000);
  },
};

export const pregnancy: Story = {
  name: 'pregnancy',
  shows: ['reproductive health label', 'prenatal course', 'ultrasound'],
  tell(record) {
    let pregnant: Reference<Condition> | undefined;
    course(
      record,
      {
        at: 'harborlight',
        by: 'haddad',
        count: 8,
        reason: sct('77386006', 'Pregnant'),
        everyDays: 28,
        lastDaysAgo: 70,
        cents: 18_000,
      },
      (visit, _step, index) => {
        const week = 8 + index * 4;
        if (index === 0) {
          pregnant = addCondition(record, visit, sct('77386006', 'Pregnant'), 'resolved');
          addMedication(record, visit, DRUGS.prenatalVitamin, { dose: '1 mg once daily', reason: pregnant, fills: 3 });
          addLabs(record, visit, loinc('24364-2', 'Obstetric 1996 panel'), {
            hemoglobin: 12.4,
            platelets: 231,
            glucose: 84,
          });
        }
        record.observation(visit, 'survey', LABS.gestation, week);
        record.observation(visit, 'laboratory', LABS.fetalHeartRate, record.random.around(145, 10));
        if (week >= 20) record.observation(visit, 'laboratory', LABS.fundalHeight, week);
        if (index === 3)
          addImaging(
            record,
            visit,
            'US',
            loinc('11525-3', 'US Pelvis Fetus for pregnancy'),
            'Single live fetus, growth as expected for 20 weeks.',
          );
      },
    );
    const birth = record.visit({
      at: 'harborlight',
      by: 'haddad',
      daysAgo: 50,
      code: VISITS.inpatient,
      class: 'IMP',
      minutes: 4320,
    });
    addProcedure(record, birth, sct('177184002', 'Normal delivery procedure'), pregnant);
    addLabs(record, birth, loinc('58410-2', 'CBC panel - Blood by Automated count'), {
      hemoglobin: 10.9,
      leukocytes: 12.1,
      platelets: 205,
    });
    addNote(
      record,
      birth,
      DISCHARGE_SUMMARY,
      'Uncomplicated birth at 39 weeks. Mother and child well; home on day two.',
    );
    addClaim(record, birth, cpt('59400', 'Routine obstetric care including vaginal delivery'), 980_000);
  },
};

export const thyroidAndPsychosis: Story = {
  name: 'severe-mental-illness',
  shows: ['mental health', 'ordinary illness beside it'],
  tell(record) {
    let illness: Reference<Condition> | undefined;
    course(
      record,
      {
        at: 'harborlight',
        by: 'okafor',
        count: 6,
        reason: sct('58214004', 'Schizophrenia'),
        everyDays: 90,
        lastDaysAgo: 35,
        cents: 19_000,
      },
      (visit, _step, index) => {
        if (index === 0) {
          illness = addCondition(record, visit, sct('58214004', 'Schizophrenia'));
          addMedication(record, visit, DRUGS.olanzapine, { dose: '10 mg at night', reason: illness, fills: 5 });
        }
        addProcedure(record, visit, sct('88848003', 'Psychiatric follow-up'), illness);
        addNote(
          record,
          visit,
          loinc('34788-0', 'Psychiatry Consult note'),
          'Psychiatric follow-up. No voices for three months. Weight discussed.',
        );
        record.observation(visit, 'laboratory', LABS.glucose, record.random.around(104, 12));
      },
    );
    course(record, { at: 'birchwater', count: 4, everyDays: 170, lastDaysAgo: 80 }, (visit, step, index) => {
      if (index === 0) {
        const thyroid = addCondition(record, visit, sct('40930008', 'Hypothyroidism'));
        addMedication(record, visit, DRUGS.levothyroxine, {
          dose: '50 micrograms in the morning',
          reason: thyroid,
          fills: 3,
        });
      }
      addLabs(record, visit, loinc('3016-3', 'Thyroid panel'), { tsh: 9.8 - 7.4 * step, cholesterol: 208 });
    });
  },
};
