package coap

import "fmt"

// Number says which option it is. RFC 7252 §5.4
type Number uint16

// Numbers of options. RFC 7252 §5.10
const (
	IfMatch       Number = 1
	URIHost       Number = 3
	ETag          Number = 4
	IfNoneMatch   Number = 5
	Observe       Number = 6 // RFC 7641
	URIPort       Number = 7
	LocationPath  Number = 8
	OSCORE        Number = 9 // RFC 8613
	URIPath       Number = 11
	ContentFormat Number = 12
	MaxAge        Number = 14
	URIQuery      Number = 15
	HopLimit      Number = 16 // RFC 8768
	Accept        Number = 17
	QBlock1       Number = 19 // RFC 9177
	LocationQuery Number = 20
	EDHOC         Number = 21 // RFC 9668
	Block2        Number = 23 // RFC 7959
	Block1        Number = 27 // RFC 7959
	Size2         Number = 28 // RFC 7959
	QBlock2       Number = 31 // RFC 9177
	ProxyURI      Number = 35
	ProxyScheme   Number = 39
	Size1         Number = 60
	Echo          Number = 252 // RFC 9175
	NoResponse    Number = 258 // RFC 7967
	RequestTag    Number = 292 // RFC 9175
)

// Numbers of the options of signals, which have a space for each code.
const (
	MaxMessageSize      Number = 2 // CSM: RFC 8323 §5.3.1
	BlockWiseTransfer   Number = 4 // CSM: RFC 8323 §5.3.2
	ExtendedTokenLength Number = 6 // CSM: RFC 8974 §2.2.2
	Custody             Number = 2 // Ping, Pong: RFC 8323 §5.4.1
	AlternativeAddress  Number = 2 // Release: RFC 8323 §5.5
	HoldOff             Number = 4 // Release: RFC 8323 §5.5
	BadCSMOption        Number = 2 // Abort: RFC 8323 §5.6
)

// Critical reports whether who does not know the option must not go on. RFC 7252 §5.4.1
func (n Number) Critical() bool { return n&1 != 0 }

// Unsafe reports whether a proxy that does not know it must not forward it. RFC 7252 §5.4.2
func (n Number) Unsafe() bool { return n&2 != 0 }

// NoCacheKey reports whether it is no part of the cache key. RFC 7252 §5.4.2
func (n Number) NoCacheKey() bool { return n&0x1e == 0x1c }

// Format is how the value of an option is written. RFC 7252 §3.2
type Format uint8

// Formats.
const (
	FormatOpaque Format = iota
	FormatEmpty
	FormatUint
	FormatString
	FormatBlock // a uint of number, more and size: RFC 7959 §2.2
)

// Definition is what the registry says of an option.
type Definition struct {
	Name       string
	Format     Format
	Min, Max   int // bytes of the value
	Repeatable bool
	Clause     string
}

var definitions = map[Number]Definition{
	IfMatch:       {"If-Match", FormatOpaque, 0, 8, true, "RFC 7252 §5.10.8.1"},
	URIHost:       {"Uri-Host", FormatString, 1, 255, false, "RFC 7252 §5.10.1"},
	ETag:          {"ETag", FormatOpaque, 1, 8, true, "RFC 7252 §5.10.6"},
	IfNoneMatch:   {"If-None-Match", FormatEmpty, 0, 0, false, "RFC 7252 §5.10.8.2"},
	Observe:       {"Observe", FormatUint, 0, 3, false, "RFC 7641 §2"},
	URIPort:       {"Uri-Port", FormatUint, 0, 2, false, "RFC 7252 §5.10.1"},
	LocationPath:  {"Location-Path", FormatString, 0, 255, true, "RFC 7252 §5.10.7"},
	OSCORE:        {"OSCORE", FormatOpaque, 0, 255, false, "RFC 8613 §2"},
	URIPath:       {"Uri-Path", FormatString, 0, 255, true, "RFC 7252 §5.10.1"},
	ContentFormat: {"Content-Format", FormatUint, 0, 2, false, "RFC 7252 §5.10.3"},
	MaxAge:        {"Max-Age", FormatUint, 0, 4, false, "RFC 7252 §5.10.5"},
	URIQuery:      {"Uri-Query", FormatString, 0, 255, true, "RFC 7252 §5.10.1"},
	HopLimit:      {"Hop-Limit", FormatUint, 1, 1, false, "RFC 8768 §3"},
	Accept:        {"Accept", FormatUint, 0, 2, false, "RFC 7252 §5.10.4"},
	QBlock1:       {"Q-Block1", FormatBlock, 0, 3, false, "RFC 9177 §4.1"},
	LocationQuery: {"Location-Query", FormatString, 0, 255, true, "RFC 7252 §5.10.7"},
	EDHOC:         {"EDHOC", FormatEmpty, 0, 0, false, "RFC 9668 §3.1"},
	Block2:        {"Block2", FormatBlock, 0, 3, false, "RFC 7959 §2.1"},
	Block1:        {"Block1", FormatBlock, 0, 3, false, "RFC 7959 §2.1"},
	Size2:         {"Size2", FormatUint, 0, 4, false, "RFC 7959 §4"},
	QBlock2:       {"Q-Block2", FormatBlock, 0, 3, true, "RFC 9177 §4.1"},
	ProxyURI:      {"Proxy-Uri", FormatString, 1, 1034, false, "RFC 7252 §5.10.2"},
	ProxyScheme:   {"Proxy-Scheme", FormatString, 1, 255, false, "RFC 7252 §5.10.2"},
	Size1:         {"Size1", FormatUint, 0, 4, false, "RFC 7959 §4"},
	Echo:          {"Echo", FormatOpaque, 1, 40, false, "RFC 9175 §2.2.1"},
	NoResponse:    {"No-Response", FormatUint, 0, 1, false, "RFC 7967 §2"},
	RequestTag:    {"Request-Tag", FormatOpaque, 0, 8, true, "RFC 9175 §3.2.1"},
}

var signalDefinitions = map[Code]map[Number]Definition{
	CSM: {
		MaxMessageSize:      {"Max-Message-Size", FormatUint, 0, 4, false, "RFC 8323 §5.3.1"},
		BlockWiseTransfer:   {"Block-Wise-Transfer", FormatEmpty, 0, 0, false, "RFC 8323 §5.3.2"},
		ExtendedTokenLength: {"Extended-Token-Length", FormatUint, 0, 3, false, "RFC 8974 §2.2.2"},
	},
	Ping: {Custody: {"Custody", FormatEmpty, 0, 0, false, "RFC 8323 §5.4.1"}},
	Pong: {Custody: {"Custody", FormatEmpty, 0, 0, false, "RFC 8323 §5.4.1"}},
	Release: {
		AlternativeAddress: {"Alternative-Address", FormatString, 1, 255, true, "RFC 8323 §5.5"},
		HoldOff:            {"Hold-Off", FormatUint, 0, 3, false, "RFC 8323 §5.5"},
	},
	Abort: {BadCSMOption: {"Bad-CSM-Option", FormatUint, 0, 2, false, "RFC 8323 §5.6"}},
}

// Define returns what is known of option n in a message with code c.
func Define(c Code, n Number) (d Definition, ok bool) {
	if c.Signal() {
		d, ok = signalDefinitions[c][n]
		return d, ok
	}
	d, ok = definitions[n]
	return d, ok
}

// String is its name in requests and responses: "Uri-Path", "option 65000".
func (n Number) String() string {
	if d, ok := definitions[n]; ok {
		return d.Name
	}
	return fmt.Sprintf("option %d", uint16(n))
}
