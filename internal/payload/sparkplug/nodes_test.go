package sparkplug

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	nodeBirth = `{"metrics":[{"name":"bdSeq","datatype":"Int64","value":1},` +
		`{"name":"T","alias":1,"datatype":"Float","value":1.5},{"name":"N","alias":2,"datatype":"Int16","value":-1}],"seq":0}`
	deviceBirth = `{"metrics":[{"name":"P","alias":3,"datatype":"UInt32","value":4000000000}],"seq":1}`
)

// step is a message, and what becomes of it.
type step struct {
	kind, in string
	want     string // "" = in
	notes    []string
}

func run(t *testing.T, k *codec, steps ...step) {
	t.Helper()
	typist := newCodec() // it makes payloads, and knows no birth
	for i, s := range steps {
		typist.nodes = newNodes(1, 1000, 1<<20)
		got, notes := decode(t, k, at(s.kind), encode(t, typist, at(s.kind), s.in))
		if s.want == "" {
			s.want = s.in
		}
		if got != s.want {
			t.Errorf("%d, %s:\n%s, want\n%s", i, s.kind, got, s.want)
		}
		if !slices.EqualFunc(notes, s.notes, strings.HasPrefix) {
			t.Errorf("%d, %s %s: notes (-want +got)\n%s", i, s.kind, s.in, cmp.Diff(s.notes, notes))
		}
	}
}

func TestAliasesHaveTheNamesOfTheBirth(t *testing.T) {
	k := newCodec()
	run(
		t, k,
		step{kind: "NBIRTH", in: nodeBirth},
		step{kind: "DBIRTH", in: deviceBirth},
		step{
			kind: "NDATA", in: `{"metrics":[{"alias":2,"int_value":4294967291},{"alias":1,"float_value":2.5}],"seq":2}`,
			want: `{"metrics":[{"name":"N","alias":2,"datatype":"Int16","value":-5},{"name":"T","alias":1,"datatype":"Float","value":2.5}],"seq":2}`,
		},
		step{
			kind: "DDATA", in: `{"metrics":[{"alias":3,"value":4000000001},{"name":"P","value":1},{"alias":1,"float_value":3}],"seq":3}`,
			want: `{"metrics":[{"name":"P","alias":3,"datatype":"UInt32","value":4000000001},{"name":"P","datatype":"UInt32","value":1},` +
				`{"name":"T","alias":1,"datatype":"Float","value":3}],"seq":3}`,
		},
		step{
			kind: "DCMD", in: `{"metrics":[{"alias":3,"value":7}]}`,
			want: `{"metrics":[{"name":"P","alias":3,"datatype":"UInt32","value":7}]}`,
		},
		step{
			kind: "NDATA", in: `{"metrics":[{"alias":9,"value":7}],"seq":4}`,
			notes: []string{`alias 9 is not in the birth of G1/N1`},
		},
		// Another birth teaches anew.
		step{kind: "NBIRTH", in: strings.Replace(nodeBirth, `"T"`, `"U"`, 1)},
		step{
			kind: "NDATA", in: `{"metrics":[{"alias":1,"float_value":2.5}],"seq":1}`,
			want: `{"metrics":[{"name":"U","alias":1,"datatype":"Float","value":2.5}],"seq":1}`,
		},
		step{
			kind: "DDATA", in: `{"metrics":[{"alias":3,"value":1}],"seq":2}`,
			notes: []string{"no birth of G1/N1/D1 was seen"},
		},
	)
	if got, _ := decode(t, k, "spBv1.0/G1/NDATA/N2", encode(t, newCodec(), "", `{"metrics":[{"alias":1,"value":2}]}`)); strings.Contains(got, "name") {
		t.Errorf("another node has the aliases of the first: %s", got)
	}
}

func TestGapsInSeqAreReported(t *testing.T) {
	data := func(seq int, notes ...string) step {
		return step{kind: "NDATA", in: fmt.Sprintf(`{"metrics":[],"seq":%d}`, seq), notes: notes}
	}
	run(
		t, newCodec(),
		step{kind: "NBIRTH", in: strings.Replace(nodeBirth, `"seq":0`, `"seq":253`, 1)},
		data(254),
		step{kind: "DBIRTH", in: strings.Replace(deviceBirth, `"seq":1`, `"seq":255`, 1)},
		data(0), // round
		data(2, "seq 2 of G1/N1 where 1 was due: 1 message is missing"),
		data(3),
		step{kind: "DDEATH", in: `{"metrics":[],"seq":9}`, notes: []string{"seq 9 of G1/N1 where 4 was due: 5 messages are missing"}},
		data(9, "seq 9 of G1/N1 came twice"),
		data(300, "seq 300 is beyond 255"),
		step{kind: "NDATA", in: `{"metrics":[]}`, notes: []string{"seq is missing"}},
		step{kind: "NCMD", in: `{"metrics":[]}`}, // commands have none
		data(10),
		step{kind: "NBIRTH", in: nodeBirth}, // begins anew
		data(1),
	)
}

func TestTheLateJoinerIsToldHowToAskForBirths(t *testing.T) {
	const ask = "no birth of G1/N1 was seen, so aliases stay numbers; to ask for one: iotctl pub -t 'spBv1.0/G1/NCMD/N1' " +
		`--payload sparkplug -m '{"timestamp":"now","metrics":[{"name":"Node Control/Rebirth","datatype":"Boolean","value":true}]}'`
	run(
		t, newCodec(),
		step{kind: "NDATA", in: `{"metrics":[{"alias":1,"value":1}],"seq":7}`, notes: []string{ask}},
		step{kind: "NDATA", in: `{"metrics":[{"alias":1,"value":1}],"seq":8}`}, // once
		step{
			kind: "NCMD", in: `{"timestamp":"now","metrics":[{"name":"Node Control/Rebirth","datatype":"Boolean","value":true}]}`,
			want: `{"timestamp":1486144502122,"metrics":[{"name":"Node Control/Rebirth","datatype":"Boolean","value":true}]}`,
		},
		step{kind: "NBIRTH", in: nodeBirth},
	)
	if got := (topic{group: "spBv1.0/a'b", node: "N"}).rebirth(); got != "" {
		t.Errorf("a command line with a quote in it: %s", got)
	}
}

func TestDeathsBelongToABirth(t *testing.T) {
	death := func(bdSeq int, notes ...string) step {
		return step{kind: "NDEATH", in: fmt.Sprintf(`{"metrics":[{"name":"bdSeq","datatype":"Int64","value":%d}]}`, bdSeq), notes: notes}
	}
	data := step{
		kind: "NDATA", in: `{"metrics":[{"alias":2,"value":5}],"seq":1}`,
		want: `{"metrics":[{"name":"N","alias":2,"datatype":"Int16","value":5}],"seq":1}`,
	}
	late := step{kind: "NDATA", in: data.in, notes: []string{"no birth of G1/N1 was seen"}}
	run(
		t, newCodec(),
		death(1), // nothing is known of its birth
		step{kind: "NBIRTH", in: nodeBirth},
		death(0, "NDEATH with bdSeq 0 is not of the session of G1/N1 that NBIRTH began with bdSeq 1"),
		data,
		death(1),
		late,
		step{kind: "NDEATH", in: `{"metrics":[]}`, notes: []string{"NDEATH of G1/N1 has no metric bdSeq"}},
		step{kind: "NBIRTH", in: `{"metrics":[],"seq":0}`, notes: []string{"NBIRTH of G1/N1 has no metric bdSeq"}},
		step{kind: "DDATA", in: `{"metrics":[],"seq":1}`, notes: []string{"no birth of G1/N1/D1 was seen"}},
	)
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	k := newCodec() // 4 nodes, 40 names each, 64 KB
	birth := encode(t, newCodec(), "", nodeBirth)
	var said []string
	for i := range 6 {
		_, notes := decode(t, k, fmt.Sprintf("spBv1.0/G/NBIRTH/N%d", i), birth)
		said = append(said, notes...)
	}
	want := []string{
		`more than 4 edge nodes: what was known of "spBv1.0/G/N0" is forgotten`,
		`more than 4 edge nodes: what was known of "spBv1.0/G/N1" is forgotten`,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}

	many := `{"metrics":[{"name":"bdSeq","datatype":"Int64","value":1}`
	for i := range 100 {
		many += fmt.Sprintf(`,{"name":"m%d","alias":%d,"datatype":"Int8","value":1}`, i, i)
	}
	_, said = decode(t, k, "spBv1.0/G/NBIRTH/N9", encode(t, newCodec(), "", many+`],"seq":0}`))
	if !slices.Contains(said, "spBv1.0/G/N9 has more than 40 names and aliases: the rest is not kept") {
		t.Errorf("%q", said)
	}

	long := strings.Repeat("n", 4000)
	big := fmt.Sprintf(`{"metrics":[{"name":"bdSeq","datatype":"Int64","value":1},{"name":"%s","alias":1,"value":1},{"name":"%[1]s2","alias":2,"value":1}],"seq":0}`, long)
	for i := range 20 {
		decode(t, k, fmt.Sprintf("spBv1.0/G/NBIRTH/B%d", i), encode(t, newCodec(), "", big))
		if k.nodes.bytes > k.nodes.maxBytes {
			t.Fatalf("%d bytes are kept, at most %d", k.nodes.bytes, k.nodes.maxBytes)
		}
	}

	// What is given up is accounted for.
	for i := range 20 {
		d := fmt.Sprintf("spBv1.0/G/NDEATH/B%d", i)
		decode(t, k, d, encode(t, newCodec(), "", `{"metrics":[{"name":"bdSeq","datatype":"Int64","value":1}]}`))
	}
	if most := 4 * (2*len("spBv1.0/G/B19") + entryBytes); k.nodes.bytes > most {
		t.Errorf("%d bytes of nodes that are dead, at most %d", k.nodes.bytes, most)
	}
}

func TestNamesOfAliasesThatWereBornStayAway(t *testing.T) {
	k := newCodec()
	encode(t, k, at("NBIRTH"), nodeBirth)
	got := encode(t, k, at("NDATA"), `{"metrics":[{"name":"N","alias":2,"value":-5},{"alias":1,"value":2.5},{"name":"new","alias":9,"value":true}],"seq":1}`)
	want := bytesOf(t, `
		12 08 10 02 50 fb ff ff ff 0f ; alias 2, int_value as Int16 has it
		12 07 10 01 65 00 00 20 40    ; alias 1, float_value
		12 09 0a 03 6e 65 77 10 09 70 01
		18 01`)
	if !cmp.Equal(want, got) {
		t.Errorf("% x, want\n% x", got, want)
	}
}

func TestTopics(t *testing.T) {
	for in, want := range map[string]topic{
		"spBv1.0/G/NDATA/N":      {kind: ndata, group: "spBv1.0/G", node: "N"},
		"spBv1.0/G/DBIRTH/N/D":   {kind: dbirth, group: "spBv1.0/G", node: "N", device: "D"},
		"x/y/spBv1.0/G/NCMD/N":   {kind: ncmd, group: "x/y/spBv1.0/G", node: "N"},
		"spBv1.0/STATE/h":        {kind: state},
		"STATE/h":                {kind: state},
		"STATE/h/x":              {},
		"a/b":                    {},
		"xspBv1.0/G/NDATA/N":     {},
		"spBv1.0/G/NDATA/N/D":    {},
		"spBv1.0/G/DDATA/N":      {},
		"spBv1.0/G/XDATA/N":      {},
		"spBv1.0/G/NDATA":        {},
		"spBv1.0/STATE/NDATA/N":  {kind: ndata, group: "spBv1.0/STATE", node: "N"},
		"spBv1.0/G/DCMD/N/D/too": {},
	} {
		got, err := parseTopic(in)
		if got != want || (err != nil) != (strings.HasPrefix(in, "spBv1.0/") && want.kind == other) {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestTimes(t *testing.T) {
	k := newCodec()
	k.now = func() time.Time { return time.UnixMilli(5) }
	got := encode(t, k, "", `{"timestamp":"now","metrics":[{"timestamp":"1970-01-01T00:00:00.007Z"}]}`)
	if want := bytesOf(t, "08 05 12 02 18 07"); !cmp.Equal(want, got) {
		t.Errorf("% x", got)
	}
}
