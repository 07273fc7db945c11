package mqttsn

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// captures is the directory of recordings that other programs made: beside the
// repository, or where IOTCTL_CAPTURES says.
func captures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("IOTCTL_CAPTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "captures")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no captures: %v", err)
	}
	return dir
}

// TestRecordedDialogue reads what bisquitt's client and gateway said to each
// other as tshark does.
func TestRecordedDialogue(t *testing.T) {
	dir := captures(t)
	raw, err := os.ReadFile(filepath.Join(dir, "rec-sn-bisquitt.pcapng"))
	if os.IsNotExist(err) {
		t.Skipf("no captures: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Packets []struct {
			Frame int
			Src   string
			PDUs  []struct {
				Proto  string
				Fields [][2]string
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "rec-sn-bisquitt.pcapng.tshark.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &theirs); err != nil {
		t.Fatal(err)
	}
	frames, seen := udpPayloads(raw), 0
	for _, p := range theirs.Packets {
		if p.PDUs[0].Proto != "mqttsn" {
			continue
		}
		seen++
		fields := map[string]string{}
		for _, f := range p.PDUs[0].Fields {
			fields[f[0]] = f[1]
		}
		datagram := frames[p.Frame]
		m, n, err := Parse(datagram, Options{FromServer: strings.HasSuffix(p.Src, ":1886")})
		if err != nil || n != len(datagram) {
			t.Errorf("frame %d, %x: %v", p.Frame, datagram, err)
			continue
		}
		compareTshark(t, m, fields)
		if again, err := m.Append(nil); err != nil || !bytes.Equal(again, datagram) {
			t.Errorf("frame %d, %x: appended %x, %v", p.Frame, datagram, again, err)
		}
	}
	if seen != 62 {
		t.Errorf("%d messages", seen)
	}
}

// udpPayloads is what the enhanced packet blocks of a little-endian pcapng of
// Ethernet hold in UDP over IPv4, by the number of the frame.
func udpPayloads(b []byte) map[int][]byte {
	payloads, frame := map[int][]byte{}, 0
	for len(b) >= 12 {
		size := int(binary.LittleEndian.Uint32(b[4:]))
		if binary.LittleEndian.Uint32(b) == 6 {
			frame++
			data := b[28:][:binary.LittleEndian.Uint32(b[20:])]
			if ip := data[14:]; data[12] == 8 && ip[9] == 17 {
				udp := ip[int(ip[0]&15)*4:]
				payloads[frame] = udp[8:binary.BigEndian.Uint16(udp[4:])]
			}
		}
		b = b[size:]
	}
	return payloads
}

// TestTsharkReadsTheSame compares what we append with how tshark reads it.
func TestTsharkReadsTheSame(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed (Debian: tshark)")
	}
	var messages []Message
	for _, s := range append(samples, recorded...) {
		if s.want.Size() < 1000 && s.want.Type() != TypeEncapsulated {
			messages = append(messages, s.want)
		}
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		messages = append(messages, randomMessage(random, false))
	}
	file := filepath.Join(t.TempDir(), "messages.pcap")
	if err := os.WriteFile(file, pcap(t, messages), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", file, "-d", "udp.port==1884,mqttsn", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f"}
	for _, name := range tsharkFields {
		args = append(args, "-e", name)
	}
	cmd := exec.Command(tshark, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(messages) {
		t.Fatalf("%d of %d messages are read", len(lines), len(messages))
	}
	for i, m := range messages {
		fields := map[string]string{}
		for j, value := range strings.Split(lines[i], "\t") {
			if value != "" {
				fields[tsharkFields[j]] = value
			}
		}
		compareTshark(t, m, fields)
		if t.Failed() {
			return
		}
	}
}

// pcap is a capture of raw IPv4 with a datagram for each message.
func pcap(t *testing.T, messages []Message) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0)
	for _, m := range messages {
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		n := uint16(len(raw))
		ip := binary.BigEndian.AppendUint16([]byte{0x45, 0}, n+28)
		ip = append(ip, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0xc0, 0, 0x07, 0x5c)
		ip = append(binary.BigEndian.AppendUint16(ip, n+8), 0, 0)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(n)+28)
		b = binary.LittleEndian.AppendUint32(b, uint32(n)+28)
		b = append(append(b, ip...), raw...)
	}
	return b
}

// tsharkFields are the fields that are compared.
var tsharkFields = []string{
	"mqttsn.msg.type", "mqttsn.msg.len", "mqttsn.dup", "mqttsn.qos", "mqttsn.retain", "mqttsn.will", "mqttsn.clean.session",
	"mqttsn.topic.id.type", "mqttsn.return.code", "mqttsn.gw.id", "mqttsn.adv.interv", "mqttsn.radius", "mqttsn.protocol.id",
	"mqttsn.topic.id", "mqttsn.msg.id", "mqttsn.topic", "mqttsn.sleep.timer", "mqttsn.will.topic", "mqttsn.will.msg",
	"mqttsn.client.id", "mqttsn.keep.alive",
}

// compareTshark compares the fields that tshark has found with ours of the same
// names. It leaves fields out as it likes, and its numbers are hex at times.
func compareTshark(t *testing.T, m Message, theirs map[string]string) {
	t.Helper()
	ours, compared := tshark(m), 0
	for name, value := range theirs {
		want, ok := ours[name]
		if !ok {
			continue
		}
		compared++
		if got := fmt.Sprint(want); got == value {
			continue
		}
		number, err := strconv.ParseUint(strings.TrimPrefix(value, "0x"), map[bool]int{true: 16, false: 10}[strings.HasPrefix(value, "0x")], 64)
		if truth := map[string]uint64{"True": 1}; err != nil && (value == "True" || value == "False") {
			number, err = truth[value], nil
		}
		if err != nil || fmt.Sprint(number) != fmt.Sprint(want) {
			t.Errorf("%+v: %s is %v, tshark says %q", m, name, want, value)
		}
	}
	if compared < 2 {
		t.Errorf("%+v: tshark says %v", m, theirs)
	}
}

// tshark is m with tshark's names of fields.
func tshark(m Message) map[string]any {
	f := map[string]any{"mqttsn.msg.type": m.Type().Octet(), "mqttsn.msg.len": m.Size()}
	for name, key := range map[string]string{
		"return_code": "mqttsn.return.code", "gw_id": "mqttsn.gw.id", "radius": "mqttsn.radius", "prot_id": "mqttsn.protocol.id",
		"tid": "mqttsn.topic.id", "mid": "mqttsn.msg.id", "dup": "mqttsn.dup", "qos": "mqttsn.qos", "retain": "mqttsn.retain",
		"will": "mqttsn.will", "cleansess": "mqttsn.clean.session", "tid_type": "mqttsn.topic.id.type",
	} {
		if v, ok := scapy(m, 0)[name]; ok {
			f[key] = v
		}
	}
	switch m := m.(type) {
	case Advertise:
		f["mqttsn.adv.interv"] = m.Duration
	case Connect:
		f["mqttsn.keep.alive"], f["mqttsn.client.id"] = m.KeepAlive, m.ClientID
	case WillTopic:
		f["mqttsn.will.topic"] = m.Topic
	case WillTopicUpd:
		f["mqttsn.will.topic"] = m.Topic
	case WillMsg:
		f["mqttsn.will.msg"] = string(m.Payload)
	case WillMsgUpd:
		f["mqttsn.will.msg"] = string(m.Payload)
	case Register:
		f["mqttsn.topic"] = m.Topic
	case Pingreq:
		f["mqttsn.client.id"] = m.ClientID
	case Disconnect:
		f["mqttsn.sleep.timer"] = m.Duration
	}
	return f
}
