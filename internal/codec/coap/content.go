package coap

import "strconv"

// MediaType is a content format by its number. RFC 7252 §12.3
type MediaType uint16

// Content formats.
const (
	TextPlain      MediaType = 0
	LinkFormat     MediaType = 40
	XML            MediaType = 41
	OctetStream    MediaType = 42
	EXI            MediaType = 47
	JSON           MediaType = 50
	JSONPatch      MediaType = 51
	MergePatch     MediaType = 52
	CBOR           MediaType = 60
	CWT            MediaType = 61
	MultipartCore  MediaType = 62
	CBORSequence   MediaType = 63
	SenMLJSON      MediaType = 110
	SensMLJSON     MediaType = 111
	SenMLCBOR      MediaType = 112
	SensMLCBOR     MediaType = 113
	ProblemDetails MediaType = 257
	MissingBlocks  MediaType = 272
	OldText        MediaType = 1541 // of LwM2M before its registration
	OldTLV         MediaType = 1542
	OldJSON        MediaType = 1543
	LwM2MTLV       MediaType = 11542
	LwM2MJSON      MediaType = 11543
	LwM2MCBOR      MediaType = 11544
)

var mediaTypes = map[MediaType]string{
	TextPlain:      "text/plain;charset=utf-8",
	16:             `application/cose;cose-type="cose-encrypt0"`,
	17:             `application/cose;cose-type="cose-mac0"`,
	18:             `application/cose;cose-type="cose-sign1"`,
	19:             "application/ace+cbor",
	21:             "image/gif",
	22:             "image/jpeg",
	23:             "image/png",
	LinkFormat:     "application/link-format",
	XML:            "application/xml",
	OctetStream:    "application/octet-stream",
	EXI:            "application/exi",
	JSON:           "application/json",
	JSONPatch:      "application/json-patch+json",
	MergePatch:     "application/merge-patch+json",
	CBOR:           "application/cbor",
	CWT:            "application/cwt",
	MultipartCore:  "application/multipart-core",
	CBORSequence:   "application/cbor-seq",
	64:             "application/edhoc+cbor-seq",
	65:             "application/cid-edhoc+cbor-seq",
	96:             `application/cose;cose-type="cose-encrypt"`,
	97:             `application/cose;cose-type="cose-mac"`,
	98:             `application/cose;cose-type="cose-sign"`,
	101:            "application/cose-key",
	102:            "application/cose-key-set",
	SenMLJSON:      "application/senml+json",
	SensMLJSON:     "application/sensml+json",
	SenMLCBOR:      "application/senml+cbor",
	SensMLCBOR:     "application/sensml+cbor",
	114:            "application/senml-exi",
	115:            "application/sensml-exi",
	140:            "application/yang-data+cbor;id=sid",
	256:            "application/coap-group+json",
	ProblemDetails: "application/concise-problem-details+cbor",
	258:            "application/swid+cbor",
	271:            "application/dots+cbor",
	MissingBlocks:  "application/missing-blocks+cbor-seq",
	280:            "application/pkcs7-mime;smime-type=server-generated-key",
	281:            "application/pkcs7-mime;smime-type=certs-only",
	284:            "application/pkcs8",
	285:            "application/csrattrs",
	286:            "application/pkcs10",
	287:            "application/pkix-cert",
	290:            "application/aif+cbor",
	291:            "application/aif+json",
	310:            "application/senml+xml",
	311:            "application/sensml+xml",
	320:            "application/senml-etch+json",
	322:            "application/senml-etch+cbor",
	340:            "application/yang-data+cbor",
	341:            "application/yang-data+cbor;id=name",
	432:            "application/td+json",
	OldText:        "text/plain (of LwM2M before its registration)",
	OldTLV:         "application/vnd.oma.lwm2m+tlv (before its registration)",
	OldJSON:        "application/vnd.oma.lwm2m+json (before its registration)",
	10000:          "application/vnd.ocf+cbor",
	10001:          "application/oscore",
	10002:          "application/javascript",
	11050:          "application/json (deflate)",
	11060:          "application/cbor (deflate)",
	LwM2MTLV:       "application/vnd.oma.lwm2m+tlv",
	LwM2MJSON:      "application/vnd.oma.lwm2m+json",
	LwM2MCBOR:      "application/vnd.oma.lwm2m+cbor",
	20000:          "text/css",
	30000:          "image/svg+xml",
}

// String is the media type: "application/cbor"; the number if it is not known.
func (m MediaType) String() string {
	if s, ok := mediaTypes[m]; ok {
		return s
	}
	return strconv.Itoa(int(m))
}

// Known reports whether String is a media type.
func (m MediaType) Known() bool { return mediaTypes[m] != "" }
