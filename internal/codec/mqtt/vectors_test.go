package mqtt

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// vectorDeviations are the vectors that we judge otherwise than mqtt-packet
// does, with the statement that decides.
var vectorDeviations = map[string]string{
	"mp-g018": "3.1 allows a user name flag without the field: the remaining length takes precedence",
	"mp-g024": "maximum QoS may only be 0 or 1 (MQTT-3.2.2.3.4)",
	"mp-g180": "an UNSUBACK of 5.0 has a property length (MQTT-2.2.2-1)",
	"mp-g182": "a CONNACK of 3.1.1 has two bytes (MQTT3-3.2.1)",
	"mp-g194": "a CONNACK of 3.1.1 has two bytes (MQTT3-3.2.1)",
	"mp-g198": "an UNSUBACK of 5.0 has a property length (MQTT-2.2.2-1)",
	"mp-g200": "a PUBACK of 3.1.1 has two bytes (MQTT3-3.4.1)",
	"mp-g204": "a DISCONNECT of 3.1.1 is empty (MQTT3-3.14.1)",
	"mp-g211": "a PUBREC of 3.1.1 has two bytes (MQTT3-3.5.1)",
	"mp-g213": "a PUBCOMP of 3.1.1 has two bytes (MQTT3-3.7.1)",
	"mp-g220": "a CONNACK of 5.0 has a property length (MQTT-2.2.2-1)",
	"mp-g223": "a DISCONNECT of 3.1.1 is empty (MQTT3-3.14.1)",
	"mp-g224": "an UNSUBACK of 5.0 has a property length (MQTT-2.2.2-1)",
	"mp-g229": "a SUBACK of 5.0 has properties, and these are cut short (MQTT-2.2.2.2)",
	"mp-g235": "flags are judged with the whole packet, which is not there yet (MQTT3-2.2.2-2)",
	"mp-g246": "flags are judged with the whole packet, which is not there yet (MQTT3-2.2.2-2)",
}

// TestVectorsOfAnotherParser compares strict mode with the readings of
// mqtt-packet: the same packets, an error where it has one, the same bytes
// left waiting; or a deviation that is listed.
func TestVectorsOfAnotherParser(t *testing.T) {
	var file struct {
		Vectors []struct {
			ID, Kind, Hex string
			Options       struct{ ProtocolVersion uint8 }
			Expect        struct {
				Packets    []decoded
				Error      string
				Unconsumed int
			}
		}
	}
	readJSON(t, filepath.Join(captures(t), "mqtt-packet-vectors.json"), &file)
	if len(file.Vectors) < 200 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	agreed := 0
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			version := Version(v.Options.ProtocolVersion)
			if version == 0 {
				version = V311
			}
			var differences []string
			rest := unhex(t, v.Hex)
			var got []Packet
			var err error
			for len(rest) > 0 {
				var p Packet
				var n int
				p, n, err = Parse(rest, Options{Version: version, EitherSide: true})
				if err != nil {
					break
				}
				if c, ok := p.(Connect); ok {
					version = c.Version
				}
				if i := len(got); i < len(v.Expect.Packets) {
					if d := cmpDiff(v.Expect.Packets[i].packet(version, p), p); d != "" {
						differences = append(differences, "packet (-mqtt-packet +ours):\n"+d)
					}
				}
				got = append(got, p)
				rest = rest[n:]
			}
			short := errors.Is(err, ErrShort)
			switch {
			case v.Expect.Error == "" && err != nil && !short:
				differences = append(differences, "refused: "+err.Error())
			case v.Expect.Error != "" && (err == nil || short):
				differences = append(differences, "accepted in spite of: "+v.Expect.Error)
			case len(got) != len(v.Expect.Packets):
				differences = append(differences, "another number of packets")
			}
			reason, listed := vectorDeviations[v.ID]
			switch {
			case len(differences) > 0 && !listed:
				t.Errorf("%s (%s, MQTT %v):\n%s", v.Hex, v.Kind, version, strings.Join(differences, "\n"))
			case len(differences) == 0 && listed:
				t.Errorf("agrees, but is listed as a deviation: %s", reason)
			case len(differences) == 0:
				agreed++
			}
		})
	}
	t.Logf("%d of %d vectors agree, %d deviations", agreed, len(file.Vectors), len(vectorDeviations))
}
