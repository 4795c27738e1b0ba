import type { SearchTable } from './table-a-to-g.ts';

/** Continues the table of the types A–G. */
export const SEARCH_H_TO_Z: Readonly<Record<string, SearchTable>> = {
  HealthcareService: {
    token: 'active characteristic identifier program service-category=category service-type=type specialty',
    reference: 'coverage-area=coverageArea endpoint location organization=providedBy',
    string: 'name',
  },
  ImagingStudy: {
    token:
      'bodysite=series.bodySite dicom-class=series.instance.sopClass identifier instance=series.instance.uid modality=series.modality reason=reasonCode series=series.uid status',
    reference:
      'basedon=basedOn encounter endpoint=endpoint+series.endpoint interpreter patient=subject performer=series.performer.actor referrer subject',
    date: 'started',
  },
  Immunization: {
    token:
      'identifier reason-code=reasonCode status status-reason=statusReason target-disease=protocolApplied.targetDisease vaccine-code=vaccineCode',
    reference:
      'location manufacturer patient performer=performer.actor reaction=reaction.detail reason-reference=reasonReference',
    date: 'date=occurrence[x] reaction-date=reaction.date',
    string: 'lot-number=lotNumber series=protocolApplied.series',
  },
  ImmunizationEvaluation: {
    token: 'dose-status=doseStatus identifier status target-disease=targetDisease',
    reference: 'immunization-event=immunizationEvent patient',
    date: 'date',
  },
  ImmunizationRecommendation: {
    token:
      'identifier status=recommendation.forecastStatus target-disease=recommendation.targetDisease vaccine-type=recommendation.vaccineCode',
    reference:
      'information=recommendation.supportingPatientInformation patient support=recommendation.supportingImmunization',
    date: 'date',
  },
  Invoice: {
    token: 'identifier participant-role=participant.role status type',
    reference: 'account issuer participant=participant.actor patient=subject recipient subject',
    date: 'date',
  },
  List: {
    token: 'code empty-reason=emptyReason identifier status',
    reference: 'encounter item=entry.item patient=subject source subject',
    date: 'date',
    string: 'notes=note.text title',
  },
  Location: {
    token: 'address-use=address.use identifier operational-status=operationalStatus status type',
    reference: 'endpoint organization=managingOrganization partof=partOf',
    string:
      'address address-city=address.city address-country=address.country address-postalcode=address.postalCode address-state=address.state name=name+alias',
  },
  MeasureReport: {
    token: 'identifier status',
    reference: 'evaluated-resource=evaluatedResource measure patient=subject reporter subject',
    date: 'date period',
  },
  Media: {
    token: 'identifier modality site=bodySite status type view',
    reference: 'based-on=basedOn device encounter operator patient=subject subject',
    date: 'created',
  },
  Medication: {
    token: 'code form identifier ingredient-code=ingredient.itemCodeableConcept lot-number=batch.lotNumber status',
    reference: 'ingredient=ingredient.itemReference manufacturer',
    date: 'expiration-date=batch.expirationDate',
  },
  MedicationAdministration: {
    token: 'code=medicationCodeableConcept identifier reason-given=reasonCode reason-not-given=statusReason status',
    reference:
      'context device medication=medicationReference patient=subject performer=performer.actor request subject',
    date: 'effective-time=effective[x]',
  },
  MedicationDispense: {
    token: 'code=medicationCodeableConcept identifier status type',
    reference:
      'context destination medication=medicationReference patient=subject performer=performer.actor prescription=authorizingPrescription receiver responsibleparty=substitution.responsibleParty subject',
    date: 'whenhandedover=whenHandedOver whenprepared=whenPrepared',
  },
  MedicationRequest: {
    token:
      'category code=medicationCodeableConcept identifier intended-performertype=performerType intent priority status',
    reference:
      'encounter intended-dispenser=dispenseRequest.performer intended-performer=performer medication=medicationReference patient=subject requester subject',
    date: 'authoredon=authoredOn date=dosageInstruction.timing.event',
  },
  MedicationStatement: {
    token: 'category code=medicationCodeableConcept identifier status',
    reference: 'context medication=medicationReference part-of=partOf patient=subject source=informationSource subject',
    date: 'effective=effective[x]',
  },
  MolecularSequence: {
    token: 'chromosome=referenceSeq.chromosome identifier referenceseqid=referenceSeq.referenceSeqId type',
    reference: 'patient',
  },
  NutritionOrder: {
    token:
      'additive=enteralFormula.additiveType formula=enteralFormula.baseFormulaType identifier oraldiet=oralDiet.type status supplement=supplement.type',
    reference: 'encounter instantiates-canonical=instantiatesCanonical patient provider=orderer',
    date: 'datetime=dateTime',
  },
  Observation: {
    token:
      'category code combo-code=code+component.code combo-data-absent-reason=dataAbsentReason+component.dataAbsentReason combo-value-concept=valueCodeableConcept+component.valueCodeableConcept component-code=component.code component-data-absent-reason=component.dataAbsentReason component-value-concept=component.valueCodeableConcept data-absent-reason=dataAbsentReason identifier method status value-concept=valueCodeableConcept',
    reference:
      'based-on=basedOn derived-from=derivedFrom device encounter focus has-member=hasMember part-of=partOf patient=subject performer specimen subject',
    date: 'date=effective[x] value-date=valueDateTime+valuePeriod',
  },
  Organization: {
    token: 'active address-use=address.use identifier type',
    reference: 'endpoint partof=partOf',
    string:
      'address address-city=address.city address-country=address.country address-postalcode=address.postalCode address-state=address.state name=name+alias',
  },
  Patient: {
    token: 'active address-use=address.use gender identifier language=communication.language telecom',
    reference: 'general-practitioner=generalPractitioner link=link.other organization=managingOrganization',
    date: 'birthdate=birthDate death-date=deceasedDateTime',
    string:
      'address address-city=address.city address-country=address.country address-postalcode=address.postalCode address-state=address.state family=name.family given=name.given name',
  },
  Person: {
    token: 'address-use=address.use gender identifier telecom',
    reference:
      'link=link.target organization=managingOrganization patient=link.target practitioner=link.target relatedperson=link.target',
    date: 'birthdate=birthDate',
    string:
      'address address-city=address.city address-country=address.country address-postalcode=address.postalCode address-state=address.state name',
  },
  Practitioner: {
    token: 'active address-use=address.use communication gender identifier telecom',
    string:
      'address address-city=address.city address-country=address.country address-postalcode=address.postalCode address-state=address.state family=name.family given=name.given name',
  },
  PractitionerRole: {
    token: 'active identifier role=code specialty telecom',
    reference: 'endpoint location organization practitioner service=healthcareService',
    date: 'date=period',
  },
  Procedure: {
    token: 'category code identifier reason-code=reasonCode status',
    reference:
      'based-on=basedOn encounter instantiates-canonical=instantiatesCanonical location part-of=partOf patient=subject performer=performer.actor reason-reference=reasonReference subject',
    date: 'date=performed[x]',
  },
  Provenance: {
    token: 'agent-role=agent.role agent-type=agent.type signature-type=signature.type',
    reference: 'agent=agent.who entity=entity.what location patient=target target',
    date: 'recorded when=occurredDateTime',
  },
  Questionnaire: {
    token:
      'code=item.code context=useContext.valueCodeableConcept context-type=useContext.code identifier jurisdiction status subject-type=subjectType version',
    date: 'date effective=effectivePeriod',
    string: 'description name publisher title',
  },
  QuestionnaireResponse: {
    token: 'identifier status',
    reference: 'author based-on=basedOn encounter part-of=partOf patient=subject questionnaire source subject',
    date: 'authored',
  },
  RelatedPerson: {
    token: 'active address-use=address.use gender identifier relationship telecom',
    reference: 'patient',
    date: 'birthdate=birthDate',
    string:
      'address address-city=address.city address-country=address.country address-postalcode=address.postalCode address-state=address.state name',
  },
  RequestGroup: {
    token: 'code group-identifier=groupIdentifier identifier intent priority status',
    reference:
      'author encounter instantiates-canonical=instantiatesCanonical participant=action.participant patient=subject subject',
    date: 'authored=authoredOn',
  },
  ResearchSubject: {
    token: 'identifier status',
    reference: 'individual patient=individual study',
    date: 'date=period',
  },
  RiskAssessment: {
    token: 'identifier method risk=prediction.qualitativeRisk',
    reference: 'condition encounter patient=subject performer subject',
    date: 'date=occurrenceDateTime',
  },
  Schedule: {
    token: 'active identifier service-category=serviceCategory service-type=serviceType specialty',
    reference: 'actor',
    date: 'date=planningHorizon',
  },
  ServiceRequest: {
    token:
      'body-site=bodySite category code identifier intent order-detail=orderDetail.text performer-type=performerType priority requisition status',
    reference:
      'based-on=basedOn encounter instantiates-canonical=instantiatesCanonical patient=subject performer replaces requester specimen subject',
    date: 'authored=authoredOn occurrence=occurrence[x]',
  },
  Specimen: {
    token:
      'accession=accessionIdentifier bodysite=collection.bodySite container=container.type container-id=container.identifier identifier status type',
    reference: 'collector=collection.collector parent patient=subject subject',
    date: 'collected=collection.collected[x]',
  },
  Substance: {
    token:
      'category code=code+ingredient.substanceCodeableConcept container-identifier=instance.identifier identifier status',
    reference: 'substance-reference=ingredient.substanceReference',
    date: 'expiry=instance.expiry',
  },
  SupplyDelivery: {
    token: 'identifier status',
    reference: 'patient receiver supplier',
  },
  SupplyRequest: {
    token: 'category identifier status',
    reference: 'requester subject=deliverTo supplier',
    date: 'date=authoredOn',
  },
  Task: {
    token:
      'business-status=businessStatus code group-identifier=groupIdentifier identifier intent performer=performerType priority status',
    reference: 'based-on=basedOn encounter focus owner part-of=partOf patient=for requester subject=for',
    date: 'authored-on=authoredOn modified=lastModified period=executionPeriod',
  },
  VisionPrescription: {
    token: 'identifier status',
    reference: 'encounter patient prescriber',
    date: 'datewritten=dateWritten',
  },
};
