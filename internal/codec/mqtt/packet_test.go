package mqtt

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var equateEmpty = cmpopts.EquateEmpty()

func cmpDiff(want, got any) string { return cmp.Diff(want, got, equateEmpty) }

func TestEverySampleReadsAndWritesItsBytes(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			raw := unhex(t, s.hex)
			got, n, err := Parse(append(slices.Clone(raw), 0xAA), s.options())
			if err != nil {
				t.Fatal(err)
			}
			if n != len(raw) {
				t.Errorf("Parse used %d of %d bytes", n, len(raw))
			}
			if d := cmp.Diff(s.packet, got, equateEmpty); d != "" {
				t.Errorf("parsed (-want +got):\n%s", d)
			}
			if got := s.packet.Size(s.version); got != len(raw) {
				t.Errorf("Size %d, want %d", got, len(raw))
			}
			out, err := s.packet.Append([]byte("before"), s.version)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(append([]byte("before"), raw...), out); d != "" {
				t.Errorf("appended (-want +got):\n%s", d)
			}
		})
	}
}

func TestEveryPacketTypeHasASample(t *testing.T) {
	for typ := TypeConnect; typ <= TypeAuth; typ++ {
		if !slices.ContainsFunc(samples, func(s sample) bool { return s.packet.Type() == typ }) {
			t.Errorf("no sample of %v", typ)
		}
	}
}

// A stream that ends anywhere inside a packet is short; a packet whose
// remaining length tells of a body that ends early is malformed or, where the
// tail is optional, another valid packet. Neither may panic in any mode.
func TestCutAtEveryByte(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			raw := unhex(t, s.hex)
			for cut := range raw {
				if _, _, err := Parse(raw[:cut], s.options()); !errors.Is(err, ErrShort) {
					t.Errorf("stream cut at %d: %v", cut, err)
				}
			}
			body := raw[2:]
			for cut := range body {
				short := append([]byte{raw[0], byte(cut)}, body[:cut]...)
				for _, v := range []Version{V31, V311, V5} {
					for _, lenient := range []bool{false, true} {
						var notes []Malformed
						p, n, err := Parse(short, Options{Version: v, Lenient: lenient, Notes: &notes, FromServer: s.server})
						checkError(t, err)
						if n != len(short) {
							t.Errorf("body cut at %d: used %d of %d bytes", cut, n, len(short))
						}
						if err == nil && len(notes) == 0 && lenient {
							checkRoundTrip(t, p, v)
						}
					}
				}
			}
		})
	}
}

func checkError(tb testing.TB, err error) {
	tb.Helper()
	var m *Malformed
	if err != nil && !errors.Is(err, ErrShort) && !errors.As(err, &m) {
		tb.Errorf("error of an undocumented kind: %v", err)
	}
	if m != nil && !m.Code.IsError() {
		tb.Errorf("%v has no code to answer", m)
	}
}

// checkRoundTrip asserts that a valid packet survives being written and read,
// and that its size is exact.
func checkRoundTrip(tb testing.TB, p Packet, v Version) {
	tb.Helper()
	if c, ok := p.(Connect); ok {
		v = c.Version
	}
	b, err := p.Append(nil, v)
	if err != nil {
		tb.Fatalf("append %#v: %v", p, err)
	}
	if len(b) != p.Size(v) {
		tb.Errorf("%v: Size %d, appended %d", p.Type(), p.Size(v), len(b))
	}
	q, n, err := Parse(b, Options{Version: v, EitherSide: true})
	if err != nil {
		tb.Fatalf("parse of appended %x: %v", b, err)
	}
	if n != len(b) {
		tb.Errorf("%v: appended %d, parsed %d", p.Type(), len(b), n)
	}
	if d := cmp.Diff(p, q, equateEmpty); d != "" {
		tb.Errorf("round trip (-want +got):\n%s", d)
	}
}

func TestAppendRefusesWhatCannotBeExpressed(t *testing.T) {
	long := string(bytes.Repeat([]byte{'x'}, MaxFieldBytes+1))
	huge := make([]byte, MaxRemaining)
	for _, tc := range []struct {
		name string
		p    Packet
		v    Version
		want error
	}{
		{"client identifier", Connect{ClientID: long}, V5, ErrTooLong},
		{"user name", Connect{HasUsername: true, Username: long}, V5, ErrTooLong},
		{"will payload", Connect{Will: &Will{Payload: []byte(long)}}, V311, ErrTooLong},
		{"will QoS", Connect{Will: &Will{QoS: 3}}, V311, ErrUnencodable},
		{"topic", Publish{Topic: []byte(long)}, V311, ErrTooLong},
		{"QoS", Publish{QoS: 3}, V311, ErrUnencodable},
		{"payload", Publish{Topic: []byte("t"), Payload: huge}, V311, ErrTooLarge},
		{"properties", Connack{Properties: huge}, V5, ErrTooLarge},
		{"filter to subscribe to", Subscribe{Filters: []Subscription{{Filter: long}}}, V5, ErrTooLong},
		{"subscription QoS", Subscribe{Filters: []Subscription{{QoS: 3}}}, V5, ErrUnencodable},
		{"retain handling", Subscribe{Filters: []Subscription{{RetainHandling: 3}}}, V5, ErrUnencodable},
		{"filter to unsubscribe from", Unsubscribe{Filters: []string{long}}, V5, ErrTooLong},
		{"AUTH before 5.0", Auth{}, V311, ErrUnencodable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := tc.p.Append([]byte("kept"), tc.v)
			if !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if string(b) != "kept" {
				t.Errorf("destination holds %d bytes, want it as given", len(b))
			}
		})
	}
}

// What only 5.0 can say is left out or translated for older peers.
func TestAppendForOlderVersions(t *testing.T) {
	p := props().AppendString(PropReasonString, "why")
	for _, tc := range []struct {
		name string
		p    Packet
		v    Version
		want string
	}{
		{"acknowledgement with code", Puback{PacketID: 1, Code: NotAuthorized, Properties: p}, V311, "40020001"},
		{"refusal of credentials", Connack{Code: BadUserNameOrPassword, Properties: p}, V311, "20020004"},
		{"refusal of version", Connack{Code: UnsupportedProtocolVersion}, V311, "20020001"},
		{"refusal of identifier", Connack{Code: ClientIdentifierNotValid}, V31, "20020002"},
		{"refusal of banned", Connack{Code: Banned}, V31, "20020005"},
		{"refusal when busy", Connack{Code: ServerBusy}, V31, "20020003"},
		{"session present does not exist in 3.1", Connack{SessionPresent: true}, V31, "20020000"},
		{"refused filter", Suback{PacketID: 1, Codes: []ReasonCode{1, NotAuthorized}}, V311, "900400010180"},
		{"subscription options", Subscribe{PacketID: 1, Properties: p, Filters: []Subscription{{Filter: "a", QoS: 1, NoLocal: true, RetainHandling: 2}}}, V311, "82060001000161" + "01"},
		{"unsuback codes", Unsuback{PacketID: 1, Codes: []ReasonCode{0}}, V311, "b0020001"},
		{"disconnect code", Disconnect{Code: SessionTakenOver, Properties: p}, V31, "e000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := tc.p.Append(nil, tc.v)
			if err != nil {
				t.Fatal(err)
			}
			if want := unhex(t, tc.want); !bytes.Equal(b, want) {
				t.Errorf("appended %x, want %x", b, want)
			}
			if n := tc.p.Size(tc.v); n != len(b) {
				t.Errorf("Size %d, appended %d", n, len(b))
			}
		})
	}
}

func TestParsedSlicesCannotOverwriteTheirNeighbours(t *testing.T) {
	for _, s := range samples {
		p, ok := s.packet.(Publish)
		if !ok || len(p.Topic) == 0 {
			continue
		}
		raw := unhex(t, s.hex)
		got, _, err := Parse(raw, s.options())
		if err != nil {
			t.Fatal(err)
		}
		q := got.(Publish)
		_ = append(q.Topic, 0xEE)
		_ = append(q.Properties, 0xEE)
		_ = append(q.Payload, 0xEE)
		if want := unhex(t, s.hex); !bytes.Equal(raw, want) {
			t.Errorf("%s: appending to a parsed slice changed the input to %x", s.name, raw)
		}
	}
}
