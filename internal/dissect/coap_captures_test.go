package dissect_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// tsharkPacket is a frame as tshark reads it.
type tsharkPacket struct {
	Frame int
	T     float64
	PDUs  []struct {
		Proto  string
		Size   int
		Title  string
		Fields [][2]any
	}
}

// tshark is what tshark makes of a capture.
func tshark(t *testing.T, path string) (packets []tsharkPacket) {
	t.Helper()
	raw, err := os.ReadFile(path + ".tshark.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Packets []tsharkPacket }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Packets
}

// datagram is one of a capture, dissected.
type datagram struct {
	frame int
	bytes []byte
	p     dissect.Packet
	st    *dissect.Stream
}

// datagrams reads a capture; pick chooses the dissector of a flow, nil for none.
func datagrams(t *testing.T, path string, pick func(f *capture.Flow) dissect.Dissector) (all []datagram) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := capture.Open(file, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	streams := map[*capture.Flow]*dissect.Stream{}
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		d := pick(c.Flow)
		if d == nil || len(c.Bytes) == 0 {
			continue
		}
		st := streams[c.Flow]
		if st == nil {
			st = &dissect.Stream{}
			streams[c.Flow] = st
		}
		st.Direction, st.Time, st.Number, st.Whole = c.Direction, c.Time, c.Frames[0], c.Datagram
		p, n, err := dissecttest.Dissect(t, d, c.Bytes, st)
		if err != nil || n != len(c.Bytes) {
			t.Errorf("frame %d: %d of %d bytes, %v\n%s", c.Frames[0], n, len(c.Bytes), err, dissecttest.Text(p))
		}
		all = append(all, datagram{c.Frames[0], slices.Clone(c.Bytes), p, st})
	}
}

// coapWarnings are those of frames: what was sent to see how it is refused.
var coapWarnings = map[string]string{
	"rec-coap-libcoap.pcapng 99":  "critical option 65001 is not known here [RFC 7252 §5.4.1]",
	"rec-coap-libcoap.pcapng 100": "critical option 65001 is not known here [RFC 7252 §5.4.1]",
}

// Each message of the captures reads as tshark reads it: numbers, token, options,
// payload, who answers what, and LwM2M TLV of the type that its resource has.
func TestCOAPAgreesWithTshark(t *testing.T) {
	dir, messages := dissecttest.Captures(t), 0
	for _, name := range []string{"ioppy-coap-core-01.pcap", "ioppy-coap-core-02.pcap", "microschc-leshan-a.pcapng", "rec-coap-libcoap.pcapng"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			all := datagrams(t, path, func(*capture.Flow) dissect.Dissector { return dissect.COAP{} })
			other := tshark(t, path)
			if len(all) != len(other) {
				t.Fatalf("%d datagrams, tshark has %d", len(all), len(other))
			}
			for i, d := range all {
				messages++
				if d.frame != other[i].Frame {
					t.Fatalf("frame %d, tshark has %d", d.frame, other[i].Frame)
				}
				want, got := tsharkText(other[i]), ourText(d)
				if !slices.ContainsFunc(want, isAnswer) { // it relates no acknowledgements and no later notifications
					got = slices.DeleteFunc(got, isAnswer)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("frame %d (-tshark +ours):\n%s\n%s", d.frame, diff, dissecttest.Text(d.p))
				}
				if got, want := problems(d.p, nil), coapWarnings[fmt.Sprintf("%s %d", name, d.frame)]; got != want {
					t.Errorf("frame %d: %s", d.frame, got)
				}
			}
		})
	}
	if messages != 288 {
		t.Errorf("%d messages", messages)
	}
}

func isAnswer(line string) bool { return strings.HasPrefix(line, "coap.response_to ") }

// tsharkText is what tshark says of a frame, in lines that can be compared.
func tsharkText(p tsharkPacket) (lines []string) {
	for _, pdu := range p.PDUs {
		value, inBlocks := "", slices.ContainsFunc(pdu.Fields, func(f [2]any) bool { return f[0] == "coap.block_length" })
		for _, f := range pdu.Fields {
			s, _ := f[1].(string)
			key, _ := f[0].(string)
			switch { // of a block, not of what is put together of blocks
			case key == "coap.payload_length" && inBlocks:
				continue
			case key == "coap.block_length":
				key = "coap.payload_length"
			}
			switch key {
			case "coap.version", "coap.type", "coap.token_len", "coap.code", "coap.mid", "coap.opt.length", "coap.opt.observe", "coap.opt.max_age",
				"coap.opt.block_number", "coap.opt.uri_path", "coap.opt.uri_query", "coap.opt.location_path", "coap.payload_length", "coap.response_to", "lwm2mtlv.identifier", "lwm2mtlv.length":
				lines = append(lines, key+" "+s)
			case "coap.token":
				lines = append(lines, key+" "+strings.ReplaceAll(s, ":", ""))
			case "lwm2mtlv.value":
				value = strings.ReplaceAll(s, ":", "")
			case "lwm2mtlv.value.double":
				lines = append(lines, fmt.Sprintf("%s %s %s", key, value, s))
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// ourText is the same of ours.
func ourText(d datagram) (lines []string) {
	add := func(key string, v any) { lines = append(lines, fmt.Sprintf("%s %v", key, v)) }
	var walk func(fields []dissect.Field, in string)
	walk = func(fields []dissect.Field, in string) {
		for _, f := range fields {
			switch {
			case in == "payload" && f.Name == "id":
				add("lwm2mtlv.identifier", f.Value)
			case in == "payload" && f.Name == "length":
				add("lwm2mtlv.length", f.Value)
			case in == "payload" && f.Name == "float":
				add("lwm2mtlv.value.double", hex.EncodeToString(d.bytes[f.Off:f.End()])+" "+strconv.FormatFloat(f.Value.(float64), 'g', -1, 64))
			case in == "payload":
			case f.Name == "version":
				add("coap.version", f.Value)
			case f.Name == "delivery":
				add("coap.type", f.Value)
			case f.Name == "token length":
				add("coap.token_len", f.Value)
			case f.Name == "code":
				add("coap.code", f.Value)
			case f.Name == "message id":
				add("coap.mid", f.Value)
			case f.Name == "token":
				add("coap.token", hex.EncodeToString(f.Value.([]byte)))
			case strings.HasSuffix(f.Name, " length") && f.Kind == dissect.Length && in == "":
				add("coap.opt.length", f.Value)
			case f.Name == "Observe":
				add("coap.opt.observe", f.Value)
			case f.Name == "Max-Age":
				add("coap.opt.max_age", f.Value)
			case f.Name == "Block1" || f.Name == "Block2":
				add("coap.opt.block_number", f.Value.(uint64)>>4)
			case f.Name == "Uri-Path":
				add("coap.opt.uri_path", f.Value)
			case f.Name == "Uri-Query":
				add("coap.opt.uri_query", f.Value)
			case f.Name == "Location-Path":
				add("coap.opt.location_path", f.Value)
			case f.Name == "payload":
				add("coap.payload_length", f.Len)
			}
			if f.Name == "payload" || f.Off == 0 {
				walk(f.Kids, f.Name)
			}
		}
	}
	walk(d.p.Fields, "")
	if d.p.Answers > 0 {
		add("coap.response_to", d.p.Answers)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
