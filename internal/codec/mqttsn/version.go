package mqttsn

// Version of the protocol.
type Version uint8

// Versions.
const (
	Version12 Version = iota // 1.2
	Version20                // 2.0, Committee Specification Draft 01
)

func (v Version) String() string {
	if v == Version20 {
		return "2.0 draft"
	}
	return "1.2"
}

// Type is the type that octet stands for.
func (v Version) Type(octet byte) Type {
	if v == Version20 {
		return v20 | Type(octet)
	}
	return v12 | Type(octet)
}

// section is a section of 1.2, or of another version nothing.
func (v Version) section(s string) string {
	if v == Version12 {
		return s
	}
	return ""
}

// DetectVersion tells the version of a datagram from somebody unknown by what
// only one version can mean; ok is false if both could, or neither.
func DetectVersion(b []byte) (v Version, ok bool) {
	h, body, n, err := Frame(b, Version12)
	if err != nil {
		return Version12, false
	}
	switch h.Type.Octet() {
	case 0x01:
		return detectConnect(body)
	case 0x04: // CONNECT, or PUBACK of 2.0
		return Version12, len(body) >= 4 && body[1] == ProtocolID
	case 0x0c: // PUBLISH, or PINGREQ of 2.0
		if len(body) == 2 {
			return Version20, true
		}
		return Version12, len(body) >= 5 && body[0]&flagQoS == flagQoS
	case 0x12: // SUBSCRIBE, which needs a connection, or PUBWOS
		return Version20, len(body) >= 3
	case 0xfe:
		if n == len(b) {
			return Version20, true
		}
		return Version12, true
	case 0xfc, 0xff:
		return Version20, true
	}
	return Version12, false
}

// detectConnect is for type 1: SEARCHGW, or CONNECT of 2.0.
func detectConnect(body []byte) (Version, bool) {
	if len(body) == 1 {
		return Version12, true
	}
	at := 3
	if len(body) >= 8 && body[0]&connectWillV2 != 0 {
		at++
	}
	return Version20, len(body) >= 8 && body[at] == 2
}
