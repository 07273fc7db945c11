package mqtt

import "testing"

// hot is a packet of the path that every message takes, read and written once
// per call of run.
type hot struct {
	name string
	size int
	// parse and append work on memory that exists already.
	parse, append func() error
}

func hotPackets(tb testing.TB) []hot {
	payload := make([]byte, 64)
	p := props().AppendByte(PropPayloadFormat, 1).AppendString(PropContentType, "application/json").AppendUserProperty("device", "7")
	publish := Publish{QoS: 1, Topic: []byte("site/7/device/1234/temperature"), PacketID: 9, Payload: payload}
	withProperties := publish
	withProperties.Properties = p
	dst := make([]byte, 0, 1024)

	encode := func(p Packet, v Version) (Header, []byte) {
		raw, err := p.Append(nil, v)
		if err != nil {
			tb.Fatal(err)
		}
		h, body, _, err := Frame(raw, 0)
		if err != nil {
			tb.Fatal(err)
		}
		return h, body
	}
	o5, o4 := &Options{Version: V5}, &Options{Version: V311}
	make5 := func(name string, q Publish, v Version, o *Options) hot {
		h, body := encode(q, v)
		return hot{
			name, q.Size(v),
			func() error { _, err := ParsePublish(body, h.Flags, o); return err },
			func() error { _, err := q.Append(dst, v); return err },
		}
	}
	_, ack := encode(Puback{PacketID: 9}, V311)
	_, ack5 := encode(Puback{PacketID: 9, Code: NoMatchingSubscribers, Properties: props().AppendString(PropReasonString, "nobody")}, V5)
	long := props().AppendString(PropReasonString, "nobody")
	return []hot{
		make5("PUBLISH/v=3.1.1", publish, V311, o4),
		make5("PUBLISH/v=5.0", publish, V5, o5),
		make5("PUBLISH/v=5.0/properties", withProperties, V5, o5),
		{
			"PUBACK/v=3.1.1", 4,
			func() error { _, err := ParsePuback(ack, 0, o4); return err },
			func() error { _, err := Puback{PacketID: 9}.Append(dst, V311); return err },
		},
		{
			"PUBACK/v=5.0/properties", Puback{PacketID: 9, Code: 1, Properties: long}.Size(V5),
			func() error { _, err := ParsePuback(ack5, 0, o5); return err },
			func() error {
				_, err := Puback{PacketID: 9, Code: NoMatchingSubscribers, Properties: long}.Append(dst, V5)
				return err
			},
		},
		{
			"PUBREC/v=5.0", 4,
			func() error { _, err := ParsePubrec(ack, 0, o5); return err },
			func() error { _, err := Pubrec{PacketID: 9}.Append(dst, V5); return err },
		},
		{
			"PUBREL/v=5.0", 4,
			func() error { _, err := ParsePubrel(ack, 2, o5); return err },
			func() error { _, err := Pubrel{PacketID: 9}.Append(dst, V5); return err },
		},
		{
			"PUBCOMP/v=5.0", 4,
			func() error { _, err := ParsePubcomp(ack, 0, o5); return err },
			func() error { _, err := Pubcomp{PacketID: 9}.Append(dst, V5); return err },
		},
	}
}

func TestHotPacketsAllocateNothing(t *testing.T) {
	for _, h := range hotPackets(t) {
		for verb, f := range map[string]func() error{"parse": h.parse, "append": h.append} {
			if err := f(); err != nil {
				t.Fatalf("%s %s: %v", verb, h.name, err)
			}
			if n := testing.AllocsPerRun(100, func() { _ = f() }); n != 0 {
				t.Errorf("%s %s: %v allocations", verb, h.name, n)
			}
		}
	}
	raw := []byte{0x30, 3, 0, 1, 't'}
	if n := testing.AllocsPerRun(100, func() { _, _, _, _ = Frame(raw, 100) }); n != 0 {
		t.Errorf("Frame: %v allocations", n)
	}
}

func TestABufferOfSizeIsEnough(t *testing.T) {
	for _, s := range samples {
		dst := make([]byte, 0, s.packet.Size(s.version))
		if n := testing.AllocsPerRun(20, func() { _, _ = s.packet.Append(dst, s.version) }); n != 0 {
			t.Errorf("%s: %v allocations", s.name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, h := range hotPackets(b) {
		b.Run(h.name, func(b *testing.B) { bench(b, h.size, h.parse) })
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, h := range hotPackets(b) {
		b.Run(h.name, func(b *testing.B) { bench(b, h.size, h.append) })
	}
}

func bench(b *testing.B, size int, f func() error) {
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}
