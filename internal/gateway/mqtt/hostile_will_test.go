package mqtt_test

import (
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestHostile_31_WillTopics(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for topic, want := range map[string]mqtt.ReasonCode{
			"a/+": mqtt.TopicNameInvalid, "#": mqtt.TopicNameInvalid, "a#": mqtt.TopicNameInvalid, "": mqtt.TopicNameInvalid,
			"a\x00":                    mqtt.MalformedPacket,
			strings.Repeat("/", 65535): mqtt.TopicNameInvalid,
			"$SYS/x":                   mqtt.NotAuthorized,
			"$SYS":                     mqtt.NotAuthorized,
			"$CONTROL/dynamic":         mqtt.NotAuthorized,
			"$share/g/t":               mqtt.NotAuthorized,
			"$queue/t":                 mqtt.NotAuthorized,
			"$delayed/5/t":             mqtt.NotAuthorized,
			// One level of 65,535 bytes is a valid name that costs no more than
			// it is long.
			strings.Repeat("t", 65535): mqtt.Success,
		} {
			for _, v := range versions {
				want := want
				switch {
				case v == mqtt.V5 || want == mqtt.Success:
				case want == mqtt.NotAuthorized:
					want = mqtt.V3NotAuthorized
				default:
					want = none
				}
				code := h.ask(v, mqtt.Connect{ClientID: "w", CleanStart: true, Will: &mqtt.Will{Topic: topic}})
				if v < mqtt.V5 && want == none && code != mqtt.V3Accepted {
					code = none // there is no return code for it: any refusal will do
				}
				if code != want {
					t.Errorf("%s: will on %.20q: CONNACK %#x, want %#x", v, topic, uint8(code), uint8(want))
				}
			}
		}
	})
}

func TestHostile_33_WillDelays(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		watch := h.online(mqtt.V5, "watch")
		watch.sub("will/#", 1)
		const most = 0xFFFFFFFF
		drop := func(id string, expiry, delay uint32) {
			r := h.with(mqtt.V5, mqtt.Connect{
				ClientID: id, CleanStart: true,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, expiry),
				Will: &mqtt.Will{
					Topic: "will/" + id, Payload: []byte(id), QoS: 1,
					Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, delay).AppendUint32(mqtt.PropMessageExpiryInterval, most),
				},
			})
			_ = r.nc.Close()
		}
		heard := func(want string) {
			t.Helper()
			m := watch.message()
			left, ok := m.Properties.Uint32(mqtt.PropMessageExpiryInterval)
			if string(m.Payload) != want || !ok || left < most-5 {
				t.Errorf("will %q, expiry %d, want that of %q", m.Payload, left, want)
			}
		}
		drop("no-session", 0, most) // the session ends first
		heard("no-session")
		began := time.Now()
		drop("second", 1, most)
		heard("second")
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("a will with 136 years of delay came after %v", took)
		}
		drop("never", most, most) // both as large as can be
		drop("century", most-1, most-1)
		watch.silent(200 * time.Millisecond)
		for _, id := range []string{"never", "century"} { // wiping the session ends it
			h.online(mqtt.V5, id).send(mqtt.Disconnect{})
			heard(id)
		}
		watch.silent(50 * time.Millisecond)
	})
}

func TestHostile_34_WillPayloadIsNotTheTextItClaims(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for payload, want := range map[string]mqtt.ReasonCode{"\xFF": mqtt.PayloadFormatInvalid, "\xED\xA0\x80": mqtt.PayloadFormatInvalid, "text": mqtt.Success} {
			w := &mqtt.Will{Topic: "w", Payload: []byte(payload), Properties: mqtt.Properties(nil).AppendByte(mqtt.PropPayloadFormat, 1)}
			if code := h.ask(mqtt.V5, mqtt.Connect{ClientID: "w", CleanStart: true, Will: w}); code != want {
				t.Errorf("%q: CONNACK %s, want %s", payload, code, want)
			}
		}
	})
}
