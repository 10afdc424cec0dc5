"""The scopes and claim names of LTI Advantage that the sandbox LMS knows."""

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/"

LINE_ITEM = f"{AGS}scope/lineitem"
LINE_ITEM_READ = f"{AGS}scope/lineitem.readonly"
RESULT_READ = f"{AGS}scope/result.readonly"
SCORE = f"{AGS}scope/score"
NOTICE_HANDLERS = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
ROSTER = f"{NRPS}scope/contextmembership.readonly"

AGS_SCOPES = (LINE_ITEM, LINE_ITEM_READ, RESULT_READ, SCORE)
SERVICE_SCOPES = (*AGS_SCOPES, ROSTER)
