import type { CodeableConcept } from '@medplum/fhirtypes';

/** A coded concept in few words: `sct('38341003', 'Hypertensive disorder')`. */
export const sct = concept('http://snomed.info/sct');
export const loinc = concept('http://loinc.org');
const rxnorm = concept('http://www.nlm.nih.gov/research/umls/rxnorm');
const cvx = concept('http://hl7.org/fhir/sid/cvx');
export const cpt = concept('http://www.ama-assn.org/go/cpt');

function concept(system: string): (code: string, display: string) => CodeableConcept {
  return (code, display) => ({ coding: [{ system, code, display }], text: display });
}

export function coded(system: string, code: string, display?: string): CodeableConcept {
  return { coding: [{ system, code, ...(display ? { display } : {}) }] };
}

export type Measure = { code: CodeableConcept; unit: string; decimals?: number };

export const VITALS = {
  height: { code: loinc('8302-2', 'Body height'), unit: 'cm', decimals: 1 },
  weight: { code: loinc('29463-7', 'Body weight'), unit: 'kg', decimals: 1 },
  bmi: { code: loinc('39156-5', 'Body mass index (BMI) [Ratio]'), unit: 'kg/m2', decimals: 1 },
  heartRate: { code: loinc('8867-4', 'Heart rate'), unit: '/min' },
  respiration: { code: loinc('9279-1', 'Respiratory rate'), unit: '/min' },
  temperature: { code: loinc('8310-5', 'Body temperature'), unit: 'Cel', decimals: 1 },
} as const satisfies Record<string, Measure>;

export const LABS = {
  glucose: { code: loinc('2345-7', 'Glucose [Mass/volume] in Serum or Plasma'), unit: 'mg/dL' },
  hba1c: { code: loinc('4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood'), unit: '%', decimals: 1 },
  creatinine: { code: loinc('2160-0', 'Creatinine [Mass/volume] in Serum or Plasma'), unit: 'mg/dL', decimals: 2 },
  potassium: { code: loinc('2823-3', 'Potassium [Moles/volume] in Serum or Plasma'), unit: 'mmol/L', decimals: 1 },
  sodium: { code: loinc('2951-2', 'Sodium [Moles/volume] in Serum or Plasma'), unit: 'mmol/L' },
  cholesterol: { code: loinc('2093-3', 'Cholesterol [Mass/volume] in Serum or Plasma'), unit: 'mg/dL' },
  ldl: { code: loinc('13457-7', 'Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation'), unit: 'mg/dL' },
  hdl: { code: loinc('2085-9', 'Cholesterol in HDL [Mass/volume] in Serum or Plasma'), unit: 'mg/dL' },
  hemoglobin: { code: loinc('718-7', 'Hemoglobin [Mass/volume] in Blood'), unit: 'g/dL', decimals: 1 },
  leukocytes: {
    code: loinc('6690-2', 'Leukocytes [#/volume] in Blood by Automated count'),
    unit: '10*3/uL',
    decimals: 1,
  },
  platelets: { code: loinc('777-3', 'Platelets [#/volume] in Blood by Automated count'), unit: '10*3/uL' },
  inr: { code: loinc('6301-6', 'INR in Platelet poor plasma by Coagulation assay'), unit: '{INR}', decimals: 1 },
  egfr: { code: loinc('33914-3', 'Glomerular filtration rate/1.73 sq M.predicted by MDRD'), unit: 'mL/min/{1.73_m2}' },
  tsh: { code: loinc('3016-3', 'Thyrotropin [Units/volume] in Serum or Plasma'), unit: 'm[IU]/L', decimals: 2 },
  troponin: { code: loinc('6598-7', 'Troponin T.cardiac [Mass/volume] in Serum or Plasma'), unit: 'ug/L', decimals: 2 },
  hivLoad: {
    code: loinc('20447-9', 'HIV 1 RNA [#/volume] (viral load) in Serum or Plasma by NAA'),
    unit: '{copies}/mL',
  },
  cd4: { code: loinc('24467-3', 'CD3+CD4+ (T4 helper) cells [#/volume] in Blood'), unit: '/uL' },
  phq9: { code: loinc('44261-6', 'Patient Health Questionnaire 9 item total score'), unit: '{score}' },
  gad7: { code: loinc('70274-6', 'Generalized anxiety disorder 7 item total score'), unit: '{score}' },
  gestation: { code: loinc('49051-6', 'Gestational age in weeks'), unit: 'wk' },
  fundalHeight: { code: loinc('11881-0', 'Uterus Fundal height Tape measure'), unit: 'cm' },
  fetalHeartRate: { code: loinc('55283-6', 'Fetal Heart rate'), unit: '/min' },
  peakFlow: {
    code: loinc('33452-4', 'Maximum expiratory gas flow Respiratory system airway by Peak flow meter'),
    unit: 'L/min',
  },
} as const satisfies Record<string, Measure>;

export const DRUGS = {
  metformin: rxnorm('860975', '24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet'),
  lisinopril: rxnorm('314076', 'lisinopril 10 MG Oral Tablet'),
  atorvastatin: rxnorm('617310', 'atorvastatin 20 MG Oral Tablet'),
  warfarin: rxnorm('855332', 'Warfarin Sodium 5 MG Oral Tablet'),
  albuterol: rxnorm('745679', '200 ACTUAT Albuterol 0.09 MG/ACTUAT Metered Dose Inhaler'),
  fluticasone: rxnorm('895994', '120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler'),
  sertraline: rxnorm('312941', 'Sertraline 50 MG Oral Tablet'),
  olanzapine: rxnorm('312076', 'olanzapine 10 MG Oral Tablet'),
  sumatriptan: rxnorm('313161', 'sumatriptan 50 MG Oral Tablet'),
  biktarvy: rxnorm('1999667', 'bictegravir 50 MG / emtricitabine 200 MG / tenofovir alafenamide 25 MG Oral Tablet'),
  buprenorphine: rxnorm('1010600', 'Buprenorphine 8 MG / Naloxone 2 MG Oral Strip'),
  naloxone: rxnorm('1725059', 'Naloxone Hydrochloride 40 MG/ML Nasal Spray'),
  contraceptive: rxnorm('748962', 'Ethinyl Estradiol / Norethindrone Oral Contraceptive Pack'),
  prenatalVitamin: rxnorm('904420', 'folic acid 1 MG Oral Tablet'),
  aspirin: rxnorm('243670', 'aspirin 81 MG Oral Tablet'),
  clopidogrel: rxnorm('309362', 'clopidogrel 75 MG Oral Tablet'),
  levothyroxine: rxnorm('966222', 'levothyroxine sodium 0.05 MG Oral Tablet'),
  ibuprofen: rxnorm('310965', 'Ibuprofen 200 MG Oral Tablet'),
  azithromycin: rxnorm('248656', 'azithromycin 500 MG Oral Tablet'),
} as const;

export const VACCINES = {
  influenza: cvx('140', 'Influenza, seasonal, injectable, preservative free'),
  dtap: cvx('20', 'DTaP'),
  mmr: cvx('03', 'MMR'),
  polio: cvx('10', 'IPV'),
  varicella: cvx('21', 'varicella'),
  hepB: cvx('08', 'Hep B, adolescent or pediatric'),
  hpv: cvx('165', 'HPV9'),
  meningococcal: cvx('114', 'meningococcal MCV4P'),
  tdap: cvx('115', 'Tdap'),
  covid: cvx('208', 'COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose'),
  pneumococcal: cvx('133', 'Pneumococcal conjugate PCV 13'),
  zoster: cvx('187', 'zoster recombinant'),
} as const;
