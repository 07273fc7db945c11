package dissect_test

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
)

// The table of what each packet tells about the version. sure is for 5.0 against
// what was before.
func TestEvidenceOfOnePacket(t *testing.T) {
	for _, c := range []struct {
		name    string
		from    dissect.Direction
		hex     string
		version uint8
		sure    bool
		why     string
	}{
		{"SUBSCRIBE of 3.1.1", fromClient, "82 06 0001 0001 61 00", 4, true, "SUBSCRIBE of 8 bytes, cannot be 5.0"},
		{"SUBSCRIBE of 5.0", fromClient, "82 07 0001 00 0001 61 00", 5, true, "SUBSCRIBE of 9 bytes, cannot be 3.1.1"},
		{"UNSUBSCRIBE of 3.1.1", fromClient, "a2 05 0001 0001 61", 4, true, "cannot be 5.0"},
		{"UNSUBSCRIBE of 5.0", fromClient, "a2 06 0001 00 0001 61", 5, true, "cannot be 3.1.1"},
		{"CONNACK of 2", fromServer, "20 02 0000", 4, true, "cannot be 5.0"},
		{"CONNACK of 3", fromServer, "20 03 0000 00", 5, true, "cannot be 3.1.1"},
		{"UNSUBACK of 2", fromServer, "b0 02 0001", 4, true, "cannot be 5.0"},
		{"UNSUBACK of more", fromServer, "b0 04 0001 00 00", 5, true, "cannot be 3.1.1"},
		{"SUBACK of 3", fromServer, "90 03 0001 00", 4, true, "cannot be 5.0"},
		{"SUBACK with a code of 5.0", fromServer, "90 04 0001 00 87", 5, true, "cannot be 3.1.1"},
		{"SUBACK that both can be", fromServer, "90 04 0001 00 01", 4, false, "no packet tells"},
		{"SUBACK with properties", fromServer, "90 09 0001 05 1f 0002 6869 01", 5, true, "cannot be 3.1.1"},
		{"PUBACK of 2", fromServer, "40 02 0001", 4, false, "no packet tells"},
		{"PUBACK of 3", fromServer, "40 03 0001 10", 5, true, "cannot be 3.1.1"},
		{"PUBREL of 4", fromClient, "62 04 0001 00 00", 5, true, "cannot be 3.1.1"},
		{"DISCONNECT", fromClient, "e0 00", 4, false, "no packet tells"},
		{"DISCONNECT with a reason", fromClient, "e0 01 04", 5, true, "cannot be 3.1.1"},
		{"DISCONNECT of a server", fromServer, "e0 01 8e", 5, true, "cannot be 3.1.1"},
		{"AUTH", fromServer, "f0 07 18 05 15 0002 4142", 5, true, "cannot be 3.1.1"},
		{"PINGREQ", fromClient, "c0 00", 4, false, "no packet tells"},
		{"PUBLISH without a topic", fromClient, "30 07 0000 03 23 0001 78", 5, true, "cannot be 3.1.1: topic is empty"},
		{"PUBLISH whose text has no properties", fromClient, "30 07 0001 74 7b22317d", 4, true, "cannot be 5.0: properties"},
		{"PUBLISH of a picture in 5.0", fromClient, "30 08 0001 74 00 ffd8ffe0", 5, false, "of a known format in 5.0 alone"},
		{"PUBLISH of text in 5.0", fromClient, "30 06 0001 74 00 6869", 5, false, "its payload is text"},
		{"PUBLISH of bytes in 5.0", fromClient, "30 06 0001 74 00 01fe", 5, false, "would begin with 00 before 5.0"},
		{"PUBLISH of bytes with properties", fromClient, "30 08 0001 74 02 0100 01fe", 5, false, "would begin with properties before 5.0"},
		{"PUBLISH of nothing", fromClient, "30 03 0001 74", 4, true, "cannot be 5.0"},
		{"PUBLISH of a zero, or of nothing in 5.0", fromClient, "30 04 0001 74 00", 4, false, "no packet tells"},
		{"session present", fromServer, "20 02 0100", 4, true, "cannot be 5.0"},
		{"SUBSCRIBE again, of 3.1", fromClient, "8a 06 0001 0001 61 00", 3, true, "cannot be 5.0"},
		{"PUBREL again, of 3.1", fromClient, "6a 02 0001", 3, true, "cannot be 5.0"},
		{"SUBACK that refuses, in 3.1.1", fromServer, "90 03 0001 80", 4, true, "cannot be 5.0"},
		{"broken in all, worse before 5.0", fromClient, "82 07 0001 00 0001 61 c0", 5, false, "breaks fewer rules of 5.0 than of 3.1.1"},
		{"CONNECT says nothing", fromClient, "10 0e 0004 4d515454 05 02 003c 00 0001 63", 4, false, "no packet tells"},
		{"nothing of MQTT", fromClient, "00 00", 4, false, "no packet tells"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e dissect.Evidence
			e.Add(c.from, unhex(t, c.hex))
			v, sure, why := e.Decide()
			if v != c.version || sure != c.sure || !strings.Contains(why, c.why) {
				t.Errorf("%d, sure %v, because %s", v, sure, why)
			}
			if sure && !strings.HasPrefix(why, "packet 1, ") {
				t.Errorf("which packet decides is not said: %s", why)
			}
			if p, _, _ := (dissect.MQTT{}).Dissect(unhex(t, c.hex), nil); p.Type != "CONNECT" && p.Version != map[uint8]string{3: "3.1", 4: "3.1.1", 5: "5.0"}[c.version] {
				t.Errorf("by itself it is read as %s", p.Version)
			}
		})
	}
}

// The first packet that decides is named, and one broken packet outvotes nobody.
func TestEvidenceOfManyPackets(t *testing.T) {
	add := func(e *dissect.Evidence, from dissect.Direction, hex string) { e.Add(from, unhex(t, hex)) }
	var e dissect.Evidence
	if v, sure, _ := e.Decide(); v != 4 || sure {
		t.Errorf("of nothing: %d, %v", v, sure)
	}
	add(&e, fromServer, "40 02 0001")
	add(&e, fromClient, "30 06 0001 74 00 6869")
	add(&e, fromServer, "40 03 0001 10")
	add(&e, fromClient, "82 07 0001 00 0001 61 00")
	if v, sure, why := e.Decide(); v != 5 || !sure || !strings.HasPrefix(why, "packet 3, PUBACK of 5 bytes, cannot be 3.1.1") {
		t.Errorf("%d, sure %v, because %s", v, sure, why)
	}
	add(&e, fromClient, "a2 05 0001 0001 61") // a client with a mistake
	if v, sure, why := e.Decide(); v != 5 || sure {
		t.Errorf("%d, sure %v, because %s", v, sure, why)
	}
}

// Of a packet that is cut short, the length may tell.
func TestVersionOfWhatIsCutShort(t *testing.T) {
	for hex, want := range map[string]string{
		"20 03 00": "5.0", "20 02 00": "3.1.1", "40 04 0001": "5.0", "b0 04 00": "5.0", "e0 02 00": "5.0", "f0 02": "5.0", "32 10 0001 61": "3.1.1",
	} {
		if p, _, _ := (dissect.MQTT{}).Dissect(unhex(t, hex), nil); p.Version != want {
			t.Errorf("%s: %s, want %s", hex, p.Version, want)
		}
	}
}
