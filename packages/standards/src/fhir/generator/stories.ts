import type { Condition, Reference } from '@medplum/fhirtypes';
import {
  addAllergy,
  addClaim,
  addCondition,
  addImaging,
  addImmunization,
  addLabs,
  addMedication,
  addNote,
  addProcedure,
  VISITS,
} from './clinical.ts';
import { cpt, DRUGS, LABS, loinc, sct, VACCINES } from './codes.ts';
import { hiddenInteraction, hiv, pregnancy, substanceUse, teenager, thyroidAndPsychosis } from './stories-sensitive.ts';
import { course, DISCHARGE_SUMMARY, METABOLIC, PROGRESS_NOTE, type Story, YEAR } from './story.ts';

const metabolic: Story = {
  name: 'diabetes-and-heart',
  shows: ['lab trends', 'anticoagulant', 'imaging', 'two custodians'],
  tell(record) {
    let diabetes: Reference<Condition> | undefined;
    course(record, { at: 'birchwater', count: 8, everyDays: 180, lastDaysAgo: 40 }, (visit, step, index) => {
      if (index === 0) {
        diabetes = addCondition(record, visit, sct('44054006', 'Diabetes mellitus type 2'));
        const pressure = addCondition(record, visit, sct('38341003', 'Hypertensive disorder'));
        addMedication(record, visit, DRUGS.metformin, { dose: '500 mg twice daily', reason: diabetes, fills: 3 });
        addMedication(record, visit, DRUGS.lisinopril, { dose: '10 mg once daily', reason: pressure, fills: 2 });
      }
      addLabs(record, visit, METABOLIC, {
        glucose: 186 - 48 * step + record.random.around(0, 14),
        hba1c: 9.1 - 2.2 * step + record.random.around(0, 0.3, 1),
        creatinine: 0.9 + 0.5 * step,
        egfr: 82 - 27 * step,
        potassium: record.random.around(4.3, 0.5, 1),
      });
    });
    const visit = record.visit({
      at: 'harborlight',
      by: 'okafor',
      daysAgo: 320,
      code: VISITS.inpatient,
      class: 'IMP',
      minutes: 2880,
    });
    const flutter = addCondition(record, visit, sct('49436004', 'Atrial fibrillation'));
    addMedication(record, visit, DRUGS.warfarin, { dose: '5 mg once daily, INR 2–3', reason: flutter, fills: 4 });
    addLabs(record, visit, loinc('6301-6', 'INR panel'), {
      inr: 1.1,
      hemoglobin: 12.8,
      platelets: 214,
      troponin: 0.01,
    });
    addImaging(record, visit, 'CT', loinc('24627-2', 'CT Chest'), 'No pulmonary embolism. Mild cardiomegaly.');
    addNote(
      record,
      visit,
      DISCHARGE_SUMMARY,
      'New atrial fibrillation, rate controlled. Anticoagulation started; INR in 5 days.',
    );
    addClaim(record, visit, cpt('99223', 'Initial hospital care'), 842_000);
  },
};

const asthma: Story = {
  name: 'child-with-asthma',
  shows: ['minor with a parent', 'immunizations'],
  tell(record) {
    let condition: Reference<Condition> | undefined;
    course(
      record,
      { at: 'birchwater', by: 'castellanos', count: 5, everyDays: 150, lastDaysAgo: 60 },
      (visit, step, index) => {
        if (index === 0) {
          condition = addCondition(record, visit, sct('195967001', 'Asthma'));
          addMedication(record, visit, DRUGS.albuterol, { dose: '2 puffs as needed', reason: condition, fills: 2 });
        }
        if (index === 2)
          addMedication(record, visit, DRUGS.fluticasone, { dose: '1 puff twice daily', reason: condition, fills: 3 });
        record.observation(visit, 'laboratory', LABS.peakFlow, 170 + 70 * step);
        addNote(
          record,
          visit,
          PROGRESS_NOTE,
          `Asthma review. Inhaler technique checked. Night symptoms ${index < 2 ? 'weekly' : 'none'}.`,
        );
      },
    );
    const visit = record.visit({
      at: 'harborlight',
      by: 'lindqvist',
      daysAgo: 480,
      code: VISITS.emergency,
      class: 'EMER',
      minutes: 300,
    });
    addCondition(record, visit, sct('708038006', 'Acute exacerbation of asthma'), 'resolved');
    addProcedure(record, visit, sct('56251003', 'Nebulizer therapy'), condition);
    addImaging(record, visit, 'DX', loinc('36643-5', 'XR Chest 2 Views'), 'Hyperinflation. No consolidation.');
    addNote(
      record,
      visit,
      DISCHARGE_SUMMARY,
      'Exacerbation of asthma after a cold. Improved with nebulised bronchodilator.',
    );
    addClaim(record, visit, cpt('99284', 'Emergency department visit'), 88_000);
  },
};

const heart: Story = {
  name: 'heart-attack',
  shows: ['emergency', 'sulfonamide allergy', 'imaging', 'large claims'],
  tell(record) {
    const visit = record.visit({
      at: 'harborlight',
      by: 'lindqvist',
      daysAgo: 540,
      code: VISITS.emergency,
      class: 'EMER',
      minutes: 480,
    });
    const infarction = addCondition(record, visit, sct('22298006', 'Myocardial infarction'));
    addLabs(record, visit, loinc('6598-7', 'Troponin T panel'), {
      troponin: 2.4,
      potassium: 4.4,
      creatinine: 1.1,
      hemoglobin: 14.2,
    });
    addProcedure(record, visit, sct('415070008', 'Percutaneous coronary intervention'), infarction);
    addImaging(record, visit, 'DX', loinc('36643-5', 'XR Chest 2 Views'), 'Mild congestion, no effusion.');
    addNote(
      record,
      visit,
      DISCHARGE_SUMMARY,
      'Inferior infarction, one stent. Dual antiplatelet treatment for twelve months.',
    );
    addClaim(record, visit, cpt('92941', 'Percutaneous revascularization, acute infarction'), 2_640_000);
    addAllergy(record, visit, sct('91939003', 'Allergy to sulfonamide'), sct('271807003', 'Eruption of skin'));
    for (const [drug, dose] of [
      [DRUGS.aspirin, '81 mg once daily'],
      [DRUGS.clopidogrel, '75 mg once daily'],
      [DRUGS.atorvastatin, '20 mg once daily'],
    ] as const) {
      addMedication(record, visit, drug, { dose, reason: infarction, fills: 3 });
    }
    course(record, { at: 'birchwater', by: 'castellanos', count: 6, everyDays: 85, lastDaysAgo: 45 }, (after, step) => {
      addLabs(record, after, loinc('24331-1', 'Lipid 1996 panel - Serum or Plasma'), {
        cholesterol: 232 - 74 * step,
        ldl: 151 - 82 * step,
        hdl: 38 + 7 * step,
      });
    });
  },
};

const active: Story = {
  name: 'sports-injury',
  shows: ['mostly healthy', 'MRI', 'physiotherapy'],
  tell(record) {
    const visit = record.visit({
      at: 'harborlight',
      by: 'lindqvist',
      daysAgo: 150,
      code: VISITS.emergency,
      class: 'EMER',
    });
    const knee = addCondition(record, visit, sct('239720000', 'Tear of meniscus of knee'));
    addImaging(record, visit, 'MR', loinc('24802-1', 'MR Knee'), 'Tear of the medial meniscus. Ligaments intact.');
    addMedication(record, visit, DRUGS.ibuprofen, {
      dose: '400 mg as needed',
      reason: knee,
      status: 'completed',
      fills: 1,
    });
    addClaim(record, visit, cpt('99283', 'Emergency department visit'), 72_000);
    course(record, { at: 'birchwater', by: 'novak', count: 6, everyDays: 10, lastDaysAgo: 60 }, (session) => {
      addProcedure(record, session, sct('91251008', 'Physical therapy procedure'), knee);
      addNote(record, session, PROGRESS_NOTE, 'Strength and range of motion improving. Home exercises continued.');
    });
    const vaccine = record.visit({ at: 'birchwater', by: 'yamada', daysAgo: 2 * YEAR, code: VISITS.vaccination });
    addImmunization(record, vaccine, VACCINES.tdap);
  },
};

export const STORIES = {
  metabolic,
  hiddenInteraction,
  asthma,
  teenager,
  hiv,
  substanceUse,
  pregnancy,
  heart,
  thyroidAndPsychosis,
  active,
} as const satisfies Record<string, Story>;

export type StoryKey = keyof typeof STORIES;
