/**
 * Which codes make a record sensitive: facts about code systems, grouped by the sensitivity codes of HL7 v3 ActCode
 * (`SUD` stands for ETH, ETHUD and OPIOIDUD too). An entry that ends in `*` matches every code that begins so.
 */
export type SensitivityLabel = 'HIV' | 'SUD' | 'PSY' | 'PSYTHPN' | 'SEX' | 'GDIS' | 'SDV';

export type CodeTable = Readonly<Partial<Record<SensitivityLabel, readonly string[]>>>;

export const SNOMED_LABELS: CodeTable = {
  HIV: [
    '86406008', // human immunodeficiency virus infection
    '165816005', // HIV positive
    '62479008', // AIDS
    '91947003', // asymptomatic HIV infection
    '91948008', // asymptomatic HIV infection in pregnancy
    '111880001', // acute HIV infection
    '420721002', // AIDS-associated disorder
    '171121004', // HIV screening
    '313077009', // HIV counselling
  ],
  SUD: [
    '66590003', // alcohol dependence
    '7200002', // alcoholism
    '15167005', // alcohol abuse
    '5602001', // opioid abuse
    '75544000', // opioid dependence
    '55680006', // drug overdose
    '6525002', // dependent drug abuse
    '26416006', // drug abuse
    '191816009', // drug dependence
    '31956009', // cocaine dependence
    '78267003', // cocaine abuse
    '85005007', // cannabis dependence
    '37344009', // cannabis abuse
    '361055000', // misuses drugs
    '56876005', // drug rehabilitation and detoxification
    '60112009', // drug addiction counselling
    '408934002', // substance abuse prevention assessment
    '428211000124100', // assessment of substance use
    '713107002', // assessment of drug use
    '763302001', // assessment with AUDIT-C
    '310653000', // drug addiction therapy using methadone
    '8635005', // alcohol withdrawal delirium
  ],
  PSY: [
    '35489007', // depressive disorder
    '370143000', // major depressive disorder
    '36923009', // major depression, single episode
    '66344007', // recurrent major depression
    '13746004', // bipolar disorder
    '58214004', // schizophrenia
    '197480006', // anxiety disorder
    '48694002', // anxiety
    '21897009', // generalised anxiety disorder
    '371631005', // panic disorder
    '47505003', // post-traumatic stress disorder
    '191736004', // obsessive-compulsive disorder
    '406506008', // attention deficit hyperactivity disorder
    '192127007', // child attention deficit disorder
    '72366004', // eating disorder
    '78004001', // bulimia nervosa
    '56882008', // anorexia nervosa
    '6471006', // suicidal thoughts
    '82313006', // suicide attempt
    '20010003', // borderline personality disorder
    '69322001', // psychotic disorder
    '74732009', // mental disorder
    '225337009', // suicide risk assessment
    '171207006', // depression screening
    '454711000124102', // depression screening with PHQ-2
    '715252007', // depression screening with PHQ-9
    '710841007', // assessment of anxiety
    '75516001', // psychotherapy
    '228557008', // cognitive and behavioural therapy
    '10197000', // psychiatric interview and evaluation
    '88848003', // psychiatric follow-up
  ],
  SEX: [
    '72892002', // normal pregnancy
    '77386006', // pregnant
    '65147003', // twin pregnancy
    '19169002', // miscarriage in first trimester
    '35999006', // blighted ovum
    '79586000', // tubal pregnancy
    '398254007', // pre-eclampsia
    '198992004', // eclampsia in pregnancy
    '11687002', // gestational diabetes
    '156072005', // incomplete miscarriage
    '70317007', // legally induced abortion
    '14433008', // spontaneous abortion
    '57797005', // termination of pregnancy
    '386639001', // termination of pregnancy, medication
    '424441002', // prenatal initial visit
    '424619006', // prenatal visit
    '169762003', // postnatal visit
    '65200003', // insertion of intrauterine contraceptive device
    '46706006', // replacement of intrauterine contraceptive device
    '68254000', // removal of intrauterine contraceptive device
    '169553002', // insertion of subcutaneous contraceptive
    '301807007', // removal of subcutaneous contraceptive
    '13197004', // contraception
    '169230002', // ultrasound scan for fetal viability
    '274804006', // evaluation of uterine fundal height
    '225158009', // auscultation of the fetal heart
    '252160004', // standard pregnancy test
    '287664005', // bilateral tubal ligation
    '22523008', // vasectomy
    '15628003', // gonorrhoea
    '76272004', // syphilis
    '240589008', // chlamydia trachomatis infection
    '33839006', // genital herpes simplex
    '860914002', // erectile dysfunction
    '397803000', // impotence
    '93461009', // gender dysphoria
    '6738008', // female infertility
  ],
  GDIS: [
    '405823003', // genetic screening
    '54550000', // genetic test
    '3457005', // genetic counselling
    '412734009', // BRCA1 mutation positive
    '412738007', // BRCA2 mutation positive
    '58756001', // Huntington's chorea
    '190905008', // cystic fibrosis
  ],
  SDV: [
    '706893006', // victim of intimate partner abuse
    '371772009', // domestic abuse
    '95922009', // child maltreatment
    '248110007', // sexual assault
  ],
};

/** ICD-10-CM; chapters and blocks by their first characters. */
export const ICD10_LABELS: CodeTable = {
  HIV: ['B20*', 'B97.35', 'O98.7*', 'R75*', 'Z11.4', 'Z21*', 'Z71.7'],
  SUD: [
    'F10*',
    'F11*',
    'F12*',
    'F13*',
    'F14*',
    'F15*',
    'F16*',
    'F18*',
    'F19*',
    'O99.31*',
    'O99.32*',
    'Z71.4*',
    'Z71.5*',
  ],
  PSY: ['F2*', 'F3*', 'F4*', 'F50*', 'F53*', 'F6*', 'F9*', 'R45.851', 'T14.91*', 'Z91.5*'],
  SEX: [
    ...['A50*', 'A51*', 'A52*', 'A53*', 'A54*', 'A55*', 'A56*', 'A57*', 'A58*', 'A59*', 'A60*', 'A63.0', 'A64*'],
    ...['F52*', 'F64*', 'N46*', 'N52*', 'N96*', 'N97*', 'O*', 'Z11.3', 'Z20.2', 'Z30*', 'Z31*', 'Z32*', 'Z33*'],
    ...['Z34*', 'Z36*', 'Z37*', 'Z39*', 'Z3A*', 'Z70*', 'Z72.5*', 'Z97.5'],
  ],
  GDIS: ['E84*', 'G10*', 'Z13.7*', 'Z14*', 'Z15*', 'Z31.5*', 'Z84.81'],
  SDV: ['T74*', 'T76*', 'Y07*', 'Z69*'],
};

export const LOINC_LABELS: CodeTable = {
  HIV: [
    '7917-8', // HIV 1 Ab presence
    '5220-9', // HIV 1 Ab presence, immunoassay
    '5221-7', // HIV 1 Ab, immunoblot
    '29893-5', // HIV 1 Ab, immunoassay
    '30361-0', // HIV 2 Ab
    '22357-8', // HIV 1+2 Ab
    '31201-7', // HIV 1+2 Ab, immunoassay
    '43010-8', // HIV 1+2 Ab presence
    '48345-3', // HIV 1+O+2 Ab
    '56888-1', // HIV 1+2 Ab + p24 Ag
    '75622-1', // HIV 1+2 tests
    '24012-7', // HIV 1 Ag
    '20447-9', // HIV 1 RNA copies/volume
    '21008-8', // HIV 1 RNA number
    '25836-8', // HIV 1 RNA
    '48510-2', // HIV 1 RNA, log
    '59419-2', // HIV 1 RNA, log
    '70241-5', // HIV 1 RNA
    '24467-3', // CD4 cells/volume
    '8123-2', // CD4 fraction
    '55277-8', // HIV status
  ],
  SUD: [
    '72109-2', // AUDIT-C
    '75624-7', // AUDIT total score
    '75626-2', // AUDIT-C total score
    '82666-9', // DAST-10
    '82667-7', // DAST-10 total score
    '65750-2', // drugs of abuse 5 panel, urine
    '11343-1', // history of other drug use
    '5643-2', // ethanol
    '3397-7', // cocaine, urine
    '3879-4', // opiates, urine
    '19295-5', // opiates, urine, screening
    '3426-4', // tetrahydrocannabinol, urine
    '3349-8', // amphetamines, urine
    '3773-9', // methadone, urine
  ],
  PSY: [
    '44249-1', // PHQ-9 panel
    '44261-6', // PHQ-9 total score
    '55757-9', // PHQ-2 panel
    '55758-7', // PHQ-2 total score
    '69737-5', // GAD-7 panel
    '70274-6', // GAD-7 total score
    '71354-5', // Edinburgh postnatal depression scale
    '93373-9', // Columbia suicide severity rating scale
    '34788-0', // psychiatry consult note
    '28627-0', // psychiatry progress note
  ],
  SEX: [
    '82810-3', // pregnancy status
    '11449-6', // pregnancy status, reported
    '11778-8', // delivery date, estimated
    '11779-6', // delivery date, from last menstrual period
    '11996-6', // pregnancies
    '11637-6', // births, preterm
    '11640-0', // births, total
    '8665-2', // last menstrual period
    '2106-3', // choriogonadotropin, urine
    '2118-8', // choriogonadotropin, serum
    '21198-7', // choriogonadotropin beta
    '19080-1', // choriogonadotropin units
    '76690-7', // sexual orientation
    '86645-9', // pregnancy intention
    '49051-6', // gestational age in weeks
    '57714-8', // gestational age, obstetric estimate
    '11884-4', // gestational age, estimated
    '55283-6', // fetal heart rate
    '11881-0', // uterine fundal height
    '21613-5', // chlamydia DNA
    '43304-5', // chlamydia rRNA
    '24111-7', // gonorrhoea DNA
    '43305-2', // gonorrhoea rRNA
    '20507-0', // reagin Ab (RPR)
    '31147-2', // reagin Ab titre (RPR)
    '5292-8', // reagin Ab (VDRL)
    '21440-3', // human papillomavirus DNA
  ],
  GDIS: [
    '69548-6', // genetic variant assessment
    '51968-6', // genetic analysis overall interpretation
    '51969-4', // genetic analysis summary report
    '48018-6', // gene studied
    '48004-6', // DNA change
    '48005-3', // amino acid change
    '48013-7', // genomic reference sequence
    '51958-7', // transcript reference sequence
    '53037-8', // variant clinical significance
    '55233-1', // genetic analysis master panel
    '81247-9', // genetic variant reporting master panel
    '81290-9', // genomic DNA change
    '21636-6', // BRCA1 mutations found
    '21654-9', // CFTR mutations found
  ],
  SDV: [
    '76499-3', // humiliated or emotionally abused by partner
    '76500-8', // raped or forced by partner
    '76501-6', // afraid of partner
    '76502-4', // hurt by partner
    '76504-0', // HARK total score
  ],
};

/** CPT and HCPCS level II. */
export const CPT_LABELS: CodeTable = {
  HIV: [
    '86689',
    '86701',
    '86702',
    '86703',
    '87389',
    '87390',
    '87534',
    '87535',
    '87536',
    '87806',
    'G0432',
    'G0433',
    'G0435',
  ],
  SUD: [
    '80305',
    '80306',
    '80307',
    '99408',
    '99409',
    'G0396',
    'G0397',
    'G2067',
    'G2068',
    'H0001',
    'H0005',
    'H0006',
    'H0020',
  ],
  PSY: ['9079*', '9083*', '9084*', '90853', '96127', '9613*'],
  SEX: [
    '11976',
    '11981',
    '11982',
    '11983',
    '55250',
    '5830*',
    '586*',
    '59*',
    '768*',
    '81025',
    '84702',
    '84703',
    '87491',
    '87591',
  ],
  GDIS: ['811*', '812*', '813*', '814*', '96040'],
};

/**
 * OpenMRS concepts of CIEL, padded with `A` to 36 characters; some systems send them under LOINC's or SNOMED's URL.
 */
export const CIEL_LABELS: CodeTable = {
  HIV: [
    '856', // HIV viral load
    '1030', // HIV DNA PCR, qualitative
    '1040', // HIV rapid test, qualitative
    '1088', // current antiretrovirals
    '1169', // HIV status
    '1250', // antiretrovirals started
    '1255', // antiretroviral plan
    '5497', // CD4 count
    '730', // CD4 fraction
    '138405', // HIV disease
    '138571', // HIV positive
    '159599', // antiretroviral treatment start date
    '159911', // patient-reported current antiretroviral treatment
  ],
};

/** Ingredients by which RxNorm, NDC, CVX or free text name a medication. */
export const INGREDIENT_LABELS: CodeTable = {
  HIV: [
    ...[
      'abacavir',
      'atazanavir',
      'bictegravir',
      'cabotegravir',
      'cobicistat',
      'darunavir',
      'dolutegravir',
      'doravirine',
    ],
    ...['efavirenz', 'elvitegravir', 'emtricitabine', 'enfuvirtide', 'etravirine', 'fosamprenavir', 'fostemsavir'],
    ...['ibalizumab', 'lamivudine', 'lenacapavir', 'lopinavir', 'maraviroc', 'nelfinavir', 'nevirapine', 'raltegravir'],
    ...['rilpivirine', 'ritonavir', 'saquinavir', 'stavudine', 'tenofovir', 'tipranavir', 'zidovudine'],
  ],
  SUD: ['acamprosate', 'buprenorphine', 'disulfiram', 'lofexidine', 'methadone', 'naltrexone'],
  PSY: [
    ...['alprazolam', 'amitriptyline', 'aripiprazole', 'asenapine', 'atomoxetine', 'brexpiprazole', 'bupropion'],
    ...['buspirone', 'cariprazine', 'chlorpromazine', 'citalopram', 'clomipramine', 'clozapine', 'desvenlafaxine'],
    ...['duloxetine', 'escitalopram', 'esketamine', 'fluoxetine', 'fluphenazine', 'fluvoxamine', 'haloperidol'],
    ...['imipramine', 'lisdexamfetamine', 'lithium', 'lumateperone', 'lurasidone', 'methylphenidate', 'mirtazapine'],
    ...['nortriptyline', 'olanzapine', 'paliperidone', 'paroxetine', 'perphenazine', 'phenelzine', 'quetiapine'],
    ...['risperidone', 'sertraline', 'tranylcypromine', 'trazodone', 'venlafaxine', 'vilazodone', 'vortioxetine'],
    'ziprasidone',
  ],
  SEX: [
    ...['clomiphene', 'desogestrel', 'drospirenone', 'ethinyl estradiol', 'etonogestrel', 'levonorgestrel'],
    ...['medroxyprogesterone', 'mestranol', 'mifepristone', 'norelgestromin', 'norethindrone', 'norgestimate'],
    ...['sildenafil', 'tadalafil', 'ulipristal', 'vardenafil'],
  ],
};

/** Words in the display, text or narrative of a clinical element that tell as much as a code. */
export const LABEL_WORDS: Readonly<Record<SensitivityLabel, RegExp>> = {
  HIV: /\bHIV\b|human immunodeficiency virus|anti-?retroviral|\bAIDS\b/,
  SUD: /\b(alcohol|opioid|drug|substance|cocaine|cannabis|heroin|amphetamine)s?[ -](abuse|dependence|addiction|use disorder|misuse)\b|alcoholism|drugs of abuse|substance use|opioid treatment program|detoxification program/i,
  PSY: /\bpsychiatr|\bpsychos[ie]s|psychotic|schizophreni|bipolar disorder|depressive disorder|major depression|depression screening|suicid|self[- ]harm|(anxiety|panic|eating|personality|post-?traumatic stress|mental) disorder|mental health|psychotherapy/i,
  PSYTHPN: /psychotherapy note|process note of psychotherapy/i,
  SEX: /\bpregnan|prenatal|antenatal|postpartum|obstetric|contracept|\babortion\b|miscarriage|\bfet(al|us)\b|sexually transmitted|gonorrh|chlamydia|syphilis|infertility|erectile|gender dysphoria|vasectomy|tubal ligation/i,
  GDIS: /\bgenetic (test|screen|counsel|variant|analysis|disease)|gene mutation|\bBRCA[12]\b|\bgenotyp|whole (genome|exome)/i,
  SDV: /domestic (abuse|violence)|intimate partner (abuse|violence)|sexual (abuse|assault)|child (abuse|maltreatment)/i,
};
