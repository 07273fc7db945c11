package mqttsn

// ProtectedV2 is a message with a proof of who sent it, or enciphered. Its slices
// alias the parsed body, and are neither verified nor deciphered.
type ProtectedV2 struct {
	TagCode  uint8 // 0: by the scheme's provider, 1: the scheme's own, 4 to 15: times 16 bits
	Scheme   uint8
	SenderID [8]byte
	Random   [4]byte
	Material []byte // 0, 2, 4 or 12 bytes
	Counter  []byte // 0, 2 or 4 bytes
	Sealed   []byte // the message, then the tag
}

// materialBytes has the sizes of Material by their codes.
var materialBytes = [...]int{0, 2, 4, 12}

// ParseProtectedV2 takes a protected message apart without allocating.
func ParseProtectedV2(body []byte, o *Options) (ProtectedV2, error) {
	r := newReader(TypeProtectedV2, body, o)
	flags := r.uint8("flags")
	m := ProtectedV2{TagCode: flags >> 4, Scheme: r.uint8("protection scheme")}
	if m.TagCode == 2 || m.TagCode == 3 {
		r.flag(0, Garbled, Accepted, "", "reserved length of the tag")
	}
	copy(m.SenderID[:], r.take(8, "sender identifier"))
	copy(m.Random[:], r.take(4, "random"))
	m.Material = r.take(materialBytes[flags>>2&3], "cryptographic material")
	if flags&3 == 3 {
		r.stop(0, "reserved length of the counter")
	}
	m.Counter = r.take(int(flags&3)*2, "counter")
	m.Sealed = r.rest()
	return m, r.result()
}

// Type implements Message.
func (ProtectedV2) Type() Type { return TypeProtectedV2 }

func (m *ProtectedV2) length() int { return 14 + len(m.Material) + len(m.Counter) + len(m.Sealed) }

// Size implements Message.
func (m ProtectedV2) Size() int { return messageSize(m.length()) }

// Append implements Message. It allocates only to grow dst.
func (m ProtectedV2) Append(dst []byte) ([]byte, error) {
	code := -1
	for i, n := range materialBytes {
		if n == len(m.Material) {
			code = i
		}
	}
	if c := len(m.Counter); code < 0 || c%2 != 0 || c > 4 || m.TagCode > 15 {
		return dst, unencodable(TypeProtectedV2, "tag code %d, %d bytes of material, counter of %d", m.TagCode, len(m.Material), c)
	}
	b, err := appendHeader(dst, TypeProtectedV2, m.length())
	if err != nil {
		return dst, err
	}
	b = append(b, m.TagCode<<4|byte(code)<<2|byte(len(m.Counter)/2), m.Scheme)
	b = append(append(b, m.SenderID[:]...), m.Random[:]...)
	b = append(append(b, m.Material...), m.Counter...)
	return append(b, m.Sealed...), nil
}
