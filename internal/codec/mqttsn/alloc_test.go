package mqttsn

import "testing"

// hot is a message of the path that every publication takes.
type hot struct {
	name  string
	parse func() error
	write func() error
}

func hotMessages(tb testing.TB) []hot {
	o, fromServer, named := &Options{}, &Options{FromServer: true}, &Options{NamedPublish: true}
	dst := make([]byte, 0, 1024)
	body := func(m Message, v Version) []byte {
		raw, err := m.Append(nil)
		if err != nil {
			tb.Fatal(err)
		}
		_, body, _, err := Frame(raw, v)
		if err != nil {
			tb.Fatal(err)
		}
		return body
	}
	publish := Publish{QoS: 1, TopicID: 5, MsgID: 7, Payload: make([]byte, 64)}
	long := Publish{QoS: 2, Kind: ShortTopic, TopicID: 0x5454, MsgID: 7, Payload: make([]byte, 500)}
	name := Publish{QoS: QoSMinusOne, Name: []byte("a/b"), Payload: make([]byte, 64)}
	v2 := PublishV2{QoS: 1, PacketID: 7, Topic: name2("a/b"), Payload: make([]byte, 64)}
	inner, _ := publish.Append(nil)
	head := []byte{0, 1, 2}
	envelope := Encapsulated{NodeID: []byte{1, 2}, Inner: inner}
	b1, b2, b3, b4 := body(publish, Version12), body(long, Version12), body(name, Version12), body(v2, Version20)
	ack, suback, id := body(Puback{5, 7, 0}, Version12), body(Suback{1, 5, 7, 0}, Version12), body(Pubrec{7}, Version12)
	return []hot{
		{"PUBLISH", func() error { _, err := ParsePublish(b1, o); return err }, func() error { _, err := publish.Append(dst); return err }},
		{"PUBLISH/long", func() error { _, err := ParsePublish(b2, o); return err }, func() error { _, err := long.Append(dst); return err }},
		{"PUBLISH/named", func() error { _, err := ParsePublish(b3, named); return err }, func() error { _, err := name.Append(dst); return err }},
		{"PUBLISH/2.0", func() error { _, err := ParsePublishV2(b4, o); return err }, func() error { _, err := v2.Append(dst); return err }},
		{"PUBACK", func() error { _, err := ParsePuback(ack, o); return err }, func() error { _, err := Puback{5, 7, 0}.Append(dst); return err }},
		{"REGACK", func() error { _, err := ParseRegack(ack, o); return err }, func() error { _, err := Regack{5, 7, 0}.Append(dst); return err }},
		{"SUBACK", func() error { _, err := ParseSuback(suback, fromServer); return err }, func() error { _, err := Suback{1, 5, 7, 0}.Append(dst); return err }},
		{"PUBREC", func() error { _, err := ParsePubrec(id, o); return err }, func() error { _, err := Pubrec{7}.Append(dst); return err }},
		{"PUBREL", func() error { _, err := ParsePubrel(id, o); return err }, func() error { _, err := Pubrel{7}.Append(dst); return err }},
		{"PUBCOMP", func() error { _, err := ParsePubcomp(id, o); return err }, func() error { _, err := Pubcomp{7}.Append(dst); return err }},
		{"UNSUBACK", func() error { _, err := ParseUnsuback(id, fromServer); return err }, func() error { _, err := Unsuback{7}.Append(dst); return err }},
		{"PINGREQ", func() error { _, err := ParsePingreq(nil, o); return err }, func() error { _, err := Pingreq{}.Append(dst); return err }},
		{
			"encapsulated", func() error { _, err := ParseEncapsulated(head, inner, o); return err },
			func() error { _, err := envelope.Append(dst); return err },
		},
	}
}

func TestPublishAndAcksAllocateNothing(t *testing.T) {
	for _, h := range hotMessages(t) {
		if n := testing.AllocsPerRun(100, func() {
			if err := h.parse(); err != nil {
				t.Fatal(h.name, err)
			}
		}); n != 0 {
			t.Errorf("parse %s: %v allocations", h.name, n)
		}
		if n := testing.AllocsPerRun(100, func() {
			if err := h.write(); err != nil {
				t.Fatal(h.name, err)
			}
		}); n != 0 {
			t.Errorf("append %s: %v allocations", h.name, n)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, h := range hotMessages(b) {
		b.Run("parse/"+h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := h.parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("append/"+h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := h.write(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
