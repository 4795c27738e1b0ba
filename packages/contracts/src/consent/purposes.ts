/**
 * The part of HL7 v3 PurposeOfUse (code system v3-ActReason) that a decision needs: a purpose named in a directive or
 * rule covers the purposes below it.
 */
const PARENT: Readonly<Record<string, string>> = {
  CAREMGT: 'TREAT',
  ETREAT: 'TREAT',
  BTG: 'ETREAT',
  PATSFTY: 'TREAT',
  COC: 'TREAT',
  CLMATTCH: 'HPAYMT',
  COVAUTH: 'HPAYMT',
  COVERAGE: 'HPAYMT',
  ELIGDTRM: 'COVERAGE',
  ELIGVER: 'COVERAGE',
  ENROLLM: 'COVERAGE',
  REMITADV: 'HPAYMT',
  HQUALIMP: 'HOPERAT',
  HCOMPL: 'HOPERAT',
  HACCRED: 'HOPERAT',
  FRAUD: 'HOPERAT',
  HLEGAL: 'HOPERAT',
  BIORCH: 'HRESCH',
  CLINTRCH: 'HRESCH',
  DSRCH: 'HRESCH',
  POARCH: 'HRESCH',
  TRANSRCH: 'HRESCH',
  THREAT: 'PUBHLTH',
  DISASTER: 'PUBHLTH',
};

/** Whether a purpose that is allowed (or denied) includes the purpose that is asked for. */
export function purposeCovers(listed: string, asked: string): boolean {
  let purpose: string | undefined = asked;
  while (purpose !== undefined) {
    if (purpose === listed) return true;
    purpose = PARENT[purpose];
  }
  return false;
}
