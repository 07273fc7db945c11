package frame

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What a vector that does not pass is told.
func TestCheckExplains(t *testing.T) {
	const head = `
framing: {name: frame, start: "55", length: {offset: 1, size: 1}, end: "16", body: [2, 2]}
max_frame: 32
checksum: {algo: sum8, range: [1, -2], at: -2}
fields: [{name: a, type: u2, div: 10}, {name: b, type: str, size: rest, optional: true}]
device_id: b
reply: "55 {len} {a} {crc} 16"
uplink: {topic: "t/${b}"}
downlink: {encode: {by: cmd, cases: {set: "55 {len} {value:u2} {crc} 16", bad: "55 04 0102 00 16"}}}
tests:
`
	for vector, want := range map[string]string{
		`{hex: "55 04 0102 07 16", want: {a: 25.9}}`:                                            "a: want 25.9, have 25.8 (byte 2: 01 02)",
		`{hex: "55 04 0102 07 16", want: {a: 25.8}, reply: "55 04 0102 07 16"}`:                 "",
		`{hex: "55 04 0102 07 16", want: {a: {x: 1}}}`:                                          "a: want an object, have 25.8",
		`{hex: "55 04 0102 07 16", want: {a: [1]}}`:                                             "a: want a list, have 25.8",
		`{hex: "55 04 0102 07 16", want: {c: 1}}`:                                               "c: is not there; there are a",
		`{hex: "55 04 0102 07 16 55", want: {a: 25.8}}`:                                         "1 bytes follow the frame of 6: 55",
		`{hex: "55 04 0102 07 16", reply: "55 04 0103 07 16"}`:                                  "reply: byte 3 ({a}): want 03, have 02",
		`{hex: "55 04 0102 07 16", reply: "55 04 0102"}`:                                        "reply: it has 6 bytes, 4 are wanted; byte 4 is of {crc}",
		`{hex: "55 04 0102 07 16", reply: "55 04 0102 07 16 16"}`:                               "reply: it ends after 6 bytes, 7 are wanted",
		`{hex: "55 04 0102 07 16", reply: none}`:                                                "reply: want none, have 55 04 01 02 07 16",
		`{hex: "55 04 0102 07 16", refuse: "00"}`:                                               "refuse: want 00, the definition gives none",
		`{hex: "55 04 0102 07 16", skipped: 1}`:                                                 "skipped: want 1 bytes in front of the frame, have 0",
		`{hex: "55 05 0102 41 49 16", topic: t/B}`:                                              "topic: want t/B, have t/A",
		`{hex: "55 05 0102 41 49 16", device_id: B}`:                                            `device_id: want "B", have "A"`,
		`{hex: "55 04 0102 08 16"}`:                                                             "no frame: checksum: sum8 over bytes 1 to 3 is 07, bytes 4 to 4 are 08",
		`{hex: "55 04 0102 07 17"}`:                                                             "no frame: end: frame: a frame of 6 bytes must end with 16, bytes 5 to 5 are 17",
		`{hex: "55 04 0102"}`:                                                                   "no frame: short: frame: 2 bytes or more are missing behind these 4",
		`{hex: "55 ff 0102"}`:                                                                   "no frame: length: frame: the frame has no possible length (max_frame is 32)",
		`{hex: "56 04 0102"}`:                                                                   "no frame: start: no variant begins with 56 04 01 02",
		`{hex: "55 03 01 04 16"}`:                                                               "decode a at byte 2: 2 bytes wanted, 1 left",
		`{hex: "55 04 0102 07 16", error: checksum}`:                                            "want the error checksum, but the frame is good",
		`{hex: "55 04 0102 08 16", error: end}`:                                                 "want the error end, have: checksum:",
		`{hex: "55 03 01 04 16", error: checksum}`:                                              "want the error checksum, have field: decode a",
		`{encode: {cmd: set, value: 258}, hex: "55 04 0102 08 16"}`:                             "frame: byte 4 ({crc}): want 08, have 07",
		`{encode: {cmd: get}, hex: "55"}`:                                                       `downlink: cmd: "get" is none of bad, set`,
		`{encode: {cmd: bad}, hex: "55 04 0102 00 16"}`:                                         "frame: framing does not take 55 04 01 02 00 16: checksum: sum8 over bytes 1 to 3 is 07",
		`{encode: {cmd: set, value: 258}, hex: "55 04 0102 07 16"}`:                             "",
		`{encode: {cmd: set}, hex: "55", error: field}`:                                         "",
		`{encode: {cmd: set, value: 1}, hex: "55", error: field}`:                               "want an error, have 55 04 00 01 05 16",
		`{hex: "55 04 0102 08 16", error: checksum}`:                                            "",
		`{text: "U\x04\x01\x02\x07\x16", want: {a: 25.8}, reply_text: "U\x04\x01\x02\x07\x16"}`: "",
	} {
		c := parse(t, head+"- "+vector)
		report := c.Check()
		problems := strings.Join(report.Vectors[0].Problems, "\n")
		if want == "" && problems != "" || !strings.Contains(problems, want) {
			t.Errorf("%s: %s\nwant %s", vector, problems, want)
		}
		if report.Passed() != (want == "") {
			t.Errorf("%s: passed: %v", vector, report.Passed())
		}
	}
}

// What no vector reaches is listed.
func TestCheckListsWhatIsUnused(t *testing.T) {
	c := parse(t, `
framing: [{name: short, start: "01", fixed: 3}, {name: long, start: "02", fixed: 4}]
checksum: {algo: sum8, range: [0, -1], at: -1}
fields:
- {name: a, type: u1}
- type: switch
  by: a
  cases:
    1: {message: one, reply: "01 {crc}"}
    2: {message: two, refuse: "02"}
downlink: {encode: {by: cmd, cases: {reboot: "00"}, default: "{hex:hex}"}}
tests: [{hex: "01 00 01", want: {message: one}}]
`)
	var got []string
	for _, u := range c.Check().Unused {
		got = append(got, u.What+" "+u.Name)
	}
	want := []string{
		"variant long", "reply one (a=1)", "message two (a=2)", "refusal two (a=2)",
		"checksum no vector has a wrong one (error: checksum)", "downlink reboot", "downlink default",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a gateway and a dissector ask.
func TestAccessors(t *testing.T) {
	c := parse(t, `
doc: a test
framing: {start: "55", length: {offset: 1, size: 1}, end: "16", body: [2, 2], idle_gap: 50ms}
max_frame: 32
on_bad_checksum: accept
checksum: {name: sum, algo: sum8, range: [1, -2], at: -2}
fields:
- {name: id, type: u1}
- {name: speed, type: u1, div: 2, unit: km/h}
- {name: pw, type: str, size: rest, omit: true}
message: login
device_id: id
session: {require: login, before: login, idle_timeout: 1m, keepalive: {messages: login, timeout: 2m}, password: pw}
uplink: {topic: "${codec}/${id}", payload: raw, qos: 1, retain: true}
downlink: {topic: "${codec}/${device_id}", encode: "00"}
`)
	s := c.Session()
	if c.Doc() != "a test" || c.IdleGap() != 50*time.Millisecond || c.MaxFrame() != 32 || !c.Identifies() ||
		!slices.Equal(s.Require, []string{"login"}) || !slices.Equal(s.Before, s.Require) || s.IdleTimeout != time.Minute ||
		s.Keepalive.Timeout != 2*time.Minute || s.Password != "pw" {
		t.Errorf("%+v", s)
	}
	if u := c.Uplink(); u.Topic != "${codec}/${id}" || u.Payload != PayloadRaw || u.QoS != 1 || !u.Retain {
		t.Errorf("%+v", u)
	}
	if got := c.DownlinkTopic(); got != "${codec}/${device_id}" {
		t.Error(got)
	}
	sp := c.Splitter(Up)
	f, _, err := sp.Next(unhex(t, "55 06 07 05 6162 00 16"))
	r := &Record{}
	if err != nil || c.Decode(f, Up, r) != nil {
		t.Fatal(err)
	}
	if string(r.DeviceID()) != "7" || string(r.Password()) != "ab" || !r.Frame().BadChecksum {
		t.Errorf("id %q, password %q, %+v", r.DeviceID(), r.Password(), r.Frame())
	}
	speed, _ := r.Get("speed")
	pw, _ := r.Get("pw")
	if speed.Unit() != "km/h" || speed.Raw() != 5 || speed.Float() != 2.5 || speed.Hidden() || !pw.Hidden() {
		t.Errorf("%+v", speed)
	}
	var parts []string
	for _, p := range f.Parts() {
		parts = append(parts, p.Name+" "+p.Note)
	}
	if want := []string{"start ", "length ", "sum sum8 of bytes 1 to 5: wrong, d5 is right", "end "}; !slices.Equal(parts, want) {
		t.Errorf("%q, want %q", parts, want)
	}
	if err := c.Decode(Frame{}, Up, r); err == nil {
		t.Error("a frame of nowhere decodes")
	}
}
