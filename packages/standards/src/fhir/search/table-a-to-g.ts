/**
 * Search parameters of R4 (4.0.1) for everything in a patient's compartment and what it refers to, with the elements
 * that they look at: `name` (the element of the same name), or `name=path+path`. A step `…[x]` is a choice of types.
 */
export type SearchTable = Readonly<Partial<Record<'token' | 'reference' | 'date' | 'string', string>>>;

export const SEARCH_A_TO_G: Readonly<Record<string, SearchTable>> = {
  Account: {
    token: 'identifier status type',
    reference: 'owner patient=subject subject',
    date: 'period=servicePeriod',
    string: 'name',
  },
  AdverseEvent: {
    token: 'actuality category event seriousness severity',
    reference: 'location recorder resultingcondition=resultingCondition study subject substance=suspectEntity.instance',
    date: 'date',
  },
  AllergyIntolerance: {
    token:
      'category clinical-status=clinicalStatus code=code+reaction.substance criticality identifier manifestation=reaction.manifestation route=reaction.exposureRoute severity=reaction.severity type verification-status=verificationStatus',
    reference: 'asserter patient recorder',
    date: 'date=recordedDate last-date=lastOccurrence onset=reaction.onset',
  },
  Appointment: {
    token:
      'appointment-type=appointmentType identifier part-status=participant.status reason-code=reasonCode service-category=serviceCategory service-type=serviceType specialty status',
    reference:
      'actor=participant.actor based-on=basedOn location=participant.actor patient=participant.actor practitioner=participant.actor reason-reference=reasonReference slot supporting-info=supportingInformation',
    date: 'date=start',
  },
  AppointmentResponse: {
    token: 'identifier part-status=participantStatus',
    reference: 'actor appointment location=actor patient=actor practitioner=actor',
  },
  AuditEvent: {
    token:
      'action agent-role=agent.role altid=agent.altId entity-role=entity.role entity-type=entity.type outcome site=source.site subtype type',
    reference: 'agent=agent.who entity=entity.what patient=agent.who+entity.what source=source.observer',
    date: 'date=recorded',
    string: 'address=agent.network.address agent-name=agent.name entity-name=entity.name',
  },
  Basic: {
    token: 'code identifier',
    reference: 'author patient=subject subject',
    date: 'created',
  },
  BodyStructure: {
    token: 'identifier location morphology',
    reference: 'patient',
  },
  CarePlan: {
    token: 'activity-code=activity.detail.code category identifier intent status',
    reference:
      'activity-reference=activity.reference based-on=basedOn care-team=careTeam condition=addresses encounter goal instantiates-canonical=instantiatesCanonical part-of=partOf patient=subject performer=activity.detail.performer replaces subject',
    date: 'activity-date=activity.detail.scheduled[x] date=period',
  },
  CareTeam: {
    token: 'category identifier status',
    reference: 'encounter participant=participant.member patient=subject subject',
    date: 'date=period',
  },
  ChargeItem: {
    token: 'code identifier performer-function=performer.function',
    reference:
      'account context enterer patient=subject performer-actor=performer.actor performing-organization=performingOrganization requesting-organization=requestingOrganization service subject',
    date: 'entered-date=enteredDate occurrence=occurrence[x]',
  },
  Claim: {
    token: 'identifier priority status use',
    reference:
      'care-team=careTeam.provider detail-udi=item.detail.udi encounter=item.encounter enterer facility insurer item-udi=item.udi patient payee=payee.party procedure-udi=procedure.udi provider subdetail-udi=item.detail.subDetail.udi',
    date: 'created',
  },
  ClaimResponse: {
    token: 'identifier outcome status use',
    reference: 'insurer patient request requestor',
    date: 'created payment-date=payment.date',
    string: 'disposition',
  },
  ClinicalImpression: {
    token: 'finding-code=finding.itemCodeableConcept identifier status',
    reference:
      'assessor encounter finding-ref=finding.itemReference investigation=investigation.item patient=subject previous problem subject supporting-info=supportingInfo',
    date: 'date',
  },
  Communication: {
    token: 'category identifier medium status',
    reference:
      'based-on=basedOn encounter instantiates-canonical=instantiatesCanonical part-of=partOf patient=subject recipient sender subject',
    date: 'received sent',
  },
  CommunicationRequest: {
    token: 'category group-identifier=groupIdentifier identifier medium priority status',
    reference: 'based-on=basedOn encounter patient=subject recipient replaces requester sender subject',
    date: 'authored=authoredOn occurrence=occurrenceDateTime',
  },
  Composition: {
    token:
      'category confidentiality context=event.code identifier related-id=relatesTo.targetIdentifier section=section.code status type',
    reference:
      'attester=attester.party author encounter entry=section.entry patient=subject related-ref=relatesTo.targetReference subject',
    date: 'date period=event.period',
    string: 'title',
  },
  Condition: {
    token:
      'body-site=bodySite category clinical-status=clinicalStatus code evidence=evidence.code identifier severity stage=stage.summary verification-status=verificationStatus',
    reference: 'asserter encounter evidence-detail=evidence.detail patient=subject subject',
    date: 'abatement-date=abatementDateTime+abatementPeriod onset-date=onsetDateTime+onsetPeriod recorded-date=recordedDate',
  },
  Consent: {
    token:
      'action=provision.action category identifier purpose=provision.purpose scope security-label=provision.securityLabel status',
    reference:
      'actor=provision.actor.reference consentor=performer data=provision.data.reference organization patient source-reference=source',
    date: 'date=dateTime period=provision.period',
  },
  Contract: {
    token: 'identifier status',
    reference: 'authority domain patient=subject signer=signer.party subject',
    date: 'issued',
  },
  Coverage: {
    token: 'class-type=class.type identifier status type',
    reference: 'beneficiary patient=beneficiary payor policy-holder=policyHolder subscriber',
    string: 'class-value=class.value[x] dependent',
  },
  CoverageEligibilityRequest: {
    token: 'identifier status',
    reference: 'enterer facility patient provider',
    date: 'created',
  },
  CoverageEligibilityResponse: {
    token: 'identifier outcome status',
    reference: 'insurer patient request requestor',
    date: 'created',
    string: 'disposition',
  },
  DetectedIssue: {
    token: 'code identifier',
    reference: 'author implicated patient',
    date: 'identified=identified[x]',
  },
  Device: {
    token: 'identifier status type',
    reference: 'location organization=owner patient',
    string:
      'device-name=deviceName.name+type.coding.display+type.text manufacturer model=modelNumber udi-carrier=udiCarrier.carrierHRF udi-di=udiCarrier.deviceIdentifier',
  },
  DeviceRequest: {
    token: 'code=codeCodeableConcept group-identifier=groupIdentifier identifier intent status',
    reference:
      'based-on=basedOn device=codeReference encounter instantiates-canonical=instantiatesCanonical insurance patient=subject performer prior-request=priorRequest requester subject',
    date: 'authored-on=authoredOn event-date=occurrenceDateTime+occurrencePeriod',
  },
  DeviceUseStatement: {
    token: 'identifier',
    reference: 'device patient=subject subject',
  },
  DiagnosticReport: {
    token: 'category code conclusion=conclusionCode identifier status',
    reference:
      'based-on=basedOn encounter media=media.link patient=subject performer result results-interpreter=resultsInterpreter specimen subject',
    date: 'date=effective[x] issued',
  },
  DocumentManifest: {
    token: 'identifier=masterIdentifier+identifier related-id=related.identifier status type',
    reference: 'author item=content patient=subject recipient related-ref=related.ref subject',
    date: 'created',
    string: 'description',
  },
  DocumentReference: {
    token:
      'category contenttype=content.attachment.contentType event=context.event facility=context.facilityType format=content.format identifier=masterIdentifier+identifier language=content.attachment.language relation=relatesTo.code security-label=securityLabel setting=context.practiceSetting status type',
    reference:
      'authenticator author custodian encounter=context.encounter patient=subject related=context.related relatesto=relatesTo.target subject',
    date: 'date period=context.period',
    string: 'description',
  },
  Encounter: {
    token:
      'class identifier participant-type=participant.type reason-code=reasonCode special-arrangement=hospitalization.specialArrangement status type',
    reference:
      'account appointment based-on=basedOn diagnosis=diagnosis.condition episode-of-care=episodeOfCare location=location.location part-of=partOf participant=participant.individual patient=subject practitioner=participant.individual reason-reference=reasonReference service-provider=serviceProvider subject',
    date: 'date=period location-period=location.period',
  },
  Endpoint: {
    token: 'connection-type=connectionType identifier payload-type=payloadType status',
    reference: 'organization=managingOrganization',
    string: 'name',
  },
  EnrollmentRequest: {
    token: 'identifier status',
    reference: 'patient=candidate subject=candidate',
  },
  EpisodeOfCare: {
    token: 'identifier status type',
    reference:
      'care-manager=careManager condition=diagnosis.condition incoming-referral=referralRequest organization=managingOrganization patient',
    date: 'date=period',
  },
  ExplanationOfBenefit: {
    token: 'identifier status',
    reference:
      'care-team=careTeam.provider claim coverage=insurance.coverage detail-udi=item.detail.udi encounter=item.encounter enterer facility item-udi=item.udi patient payee=payee.party procedure-udi=procedure.udi provider subdetail-udi=item.detail.subDetail.udi',
    date: 'created',
    string: 'disposition',
  },
  FamilyMemberHistory: {
    token: 'code=condition.code identifier relationship sex status',
    reference: 'instantiates-canonical=instantiatesCanonical patient',
    date: 'date',
  },
  Flag: {
    token: 'identifier',
    reference: 'author encounter patient=subject subject',
    date: 'date=period',
  },
  Goal: {
    token: 'achievement-status=achievementStatus category identifier lifecycle-status=lifecycleStatus',
    reference: 'patient=subject subject',
    date: 'start-date=startDate target-date=target.dueDate',
  },
  Group: {
    token:
      'actual characteristic=characteristic.code code exclude=characteristic.exclude identifier type value=characteristic.valueCodeableConcept+characteristic.valueBoolean',
    reference: 'managing-entity=managingEntity member=member.entity',
  },
  GuidanceResponse: {
    token: 'identifier request=requestIdentifier',
    reference: 'patient=subject subject',
  },
};
