package dissect_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// TestMQTTVectors compares the verdict on single packets with those of two other
// programs: a fault where one of them has one, none where both have none.
func TestMQTTVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			ID, Kind, Hex string
			Options       struct{ ProtocolVersion uint8 }
			Expect        struct {
				Packets []struct{ Cmd string }
				Error   string
			}
			Tshark struct{ PDUs, Expert []string }
		}
	}
	readJSON(t, filepath.Join(dissecttest.Captures(t), "mqtt-packet-vectors.json"), &file)
	agreed := 0
	for _, v := range file.Vectors {
		st := &dissect.Stream{Version: max(v.Options.ProtocolVersion, 3), Joined: true}
		if v.Options.ProtocolVersion == 0 {
			st.Version = 4
		}
		quick := *st
		rest := unhex(t, v.Hex)
		var types, broken []string
		short := false
		for len(rest) > 0 && !short {
			p, n, err := dissecttest.Both(t, dissect.MQTT{}, rest, st, &quick)
			short = errors.Is(err, dissect.ErrShort)
			for _, q := range verdict(p, err) {
				if !q.Warning {
					broken = append(broken, q.Rule+" "+q.Text)
				}
			}
			if n == 0 {
				break
			}
			types = append(types, strings.ToLower(p.Type))
			rest = rest[n:]
		}
		var differences []string
		if (v.Expect.Error != "") != (len(broken) > 0) {
			differences = append(differences, "mqtt-packet: "+v.Expect.Error)
		}
		var theirs []string
		for _, p := range v.Expect.Packets {
			theirs = append(theirs, p.Cmd)
		}
		if v.Expect.Error == "" && !slices.Equal(theirs, types) {
			differences = append(differences, "mqtt-packet: "+strings.Join(theirs, ", "))
		}
		if slices.ContainsFunc(v.Tshark.Expert, func(s string) bool { return s != "Unknown topic alias" }) && len(broken) == 0 && !short {
			differences = append(differences, "tshark: "+strings.Join(v.Tshark.Expert, ", "))
		}
		reason, listed := mqttDeviations[v.ID]
		switch {
		case len(differences) > 0 && !listed:
			t.Errorf("%s, %s (%s, level %d): we find %q in %q; %s", v.ID, v.Hex, v.Kind, st.Version, broken, types, strings.Join(differences, "; "))
		case len(differences) == 0 && listed:
			t.Errorf("%s agrees, but is listed: %s", v.ID, reason)
		case len(differences) == 0:
			agreed++
		}
	}
	t.Logf("%d of %d vectors agree, %d are listed", agreed, len(file.Vectors), len(mqttDeviations))
}

// mqttDeviations are the vectors that we judge otherwise than one of the others,
// with what decides.
var mqttDeviations = map[string]string{
	"mp-g018": "3.1 allows a user name flag without the field: the remaining length takes precedence",
	"mp-g024": "maximum QoS may only be 0 or 1 (MQTT-3.2.2.3.4)",
	"mp-g116": "correlation data may hold a zero (MQTT-3.3.2.3.6)",
	"mp-g130": "correlation data may hold a zero (MQTT-3.3.2.3.6)",
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
	"mp-g252": "correlation data may hold a zero (MQTT-3.3.2.3.6)",
}
