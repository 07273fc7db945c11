package lwm2m

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sayPack is one line for each measurement.
func sayPack(records []Record) string {
	var out strings.Builder
	all, notes := ResolveSenML(records)
	for _, m := range all {
		fmt.Fprintf(&out, "%s %v", m.Name, m.Value)
		if m.Unit != "" {
			fmt.Fprintf(&out, " %s", m.Unit)
		}
		if m.Time != 0 {
			fmt.Fprintf(&out, " @%.2f", m.Time)
		}
		if m.Sum != nil {
			fmt.Fprintf(&out, " sum %v", m.Sum)
		}
		out.WriteByte('\n')
	}
	for _, n := range notes {
		fmt.Fprintf(&out, "note at %d: %s\n", n.Offset, n.Reason)
	}
	return out.String()
}

var packs = []struct{ json, cbor, want string }{
	{cbor: "90a321652f332f302f00613003744f70656e204d6f62696c6520416c6c69616e6365a200613103764c69676874776569676874204d324d20436c69656e74a20061320369333435303030313233a20061330363312e30a20063362f300201a20063362f310205a20063372f3002190ed8a20063372f3102191388a20063382f3002187da20063382f3102190384a2006139021864a200623130020fa2006431312f300200a200623133021a5182428fa20062313403662b30323a3030a200623136036155", want: `/3/0/0 Open Mobile Alliance
/3/0/1 Lightweight M2M Client
/3/0/2 345000123
/3/0/3 1.0
/3/0/6/0 1
/3/0/6/1 5
/3/0/7/0 3800
/3/0/7/1 5000
/3/0/8/0 125
/3/0/8/1 900
/3/0/9 100
/3/0/10 15
/3/0/11/0 0
/3/0/13 1367491215
/3/0/14 +02:00
/3/0/16 U
`},
	{cbor: "81a221662f302f302f330843abcdef", want: "/0/0/3 [171 205 239]\n"},
	{cbor: "81a202f95cb0216b2f333434322f302f313330", want: "/3442/0/130 300\n"},
	{cbor: "82a321642f332f3000622f300365416e6a6179a200622f390200", want: "/3/0/0 Anjay\n/3/0/9 0\n"},
	{cbor: "82a421642f332f3000622f3022fb41dac02a37ffff170365416e6a6179a200622f390200", want: "/3/0/0 Anjay @1795205344.00\n/3/0/9 0 @1795205344.00\n"},
	{cbor: "81a200652f32322f3063766c6f6733333630363a30", want: "/22/0 33606:0\n"},
	{cbor: "9fbf006161 02c48221190123ff ff", want: "a 2.91\n"},
	{cbor: "81a2 006161 6176 01", want: "a 1\n"}, // labels as in JSON are understood
	{json: `[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"6/0","v":1},{"n":"9","v":100}]`, want: "/3/0/0 Open Mobile Alliance\n/3/0/6/0 1\n/3/0/9 100\n"},
	{json: `[{"n":"/3/0/0"},{"n":"/3/0/9"}]`, want: "/3/0/0 <nil>\n/3/0/9 <nil>\n"},
	{json: ` [ {"bn":"/3/0","n":"/13","bt":1795205339.57,"v":1795205339} ] `, want: "/3/0/13 1795205339 @1795205339.57\n"},
	// Of RFC 8428 §5.1.3 and §5.1.4, shortened.
	{json: `[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
		{"n":"current","t":-5,"v":1.2},{"n":"current","v":1.7}]`, want: `urn:dev:ow:10e2073a0108006:voltage 120.1 V @1276020076.00
urn:dev:ow:10e2073a0108006:current 1.2 A @1276020071.00
urn:dev:ow:10e2073a0108006:current 1.7 A @1276020076.00
`},
	{json: `[{"bn":"a","bv":20,"bs":100},{"n":"1","v":1.5,"s":7},{"n":"2","v":2},{"n":"3","vb":true},{"n":"4","vd":"q83v"},{"n":"5","vlo":"66:1"}]`, want: "a1 21.5 sum 107\na2 22\na3 true\na4 [171 205 239]\na5 66:1\n"},
}

func TestSenML(t *testing.T) {
	for _, tc := range packs {
		var records []Record
		var err error
		b := []byte(tc.json)
		if tc.json == "" {
			b = unhex(t, tc.cbor)
			records, err = ParseSenMLCBOR(b)
		} else {
			records, err = ParseSenMLJSON(b)
		}
		if got := sayPack(records); err != nil || got != tc.want {
			t.Errorf("%s%s: %v\n%s", tc.json, tc.cbor, err, cmp.Diff(tc.want, got))
		}
		inside(t, records, len(b))
		for i := range b {
			if tc.json == "" {
				records, err = ParseSenMLCBOR(b[:i])
			} else {
				records, err = ParseSenMLJSON(b[:i])
			}
			inside(t, records, i)
			bad := (*Malformed)(nil)
			if err != nil && (!errors.As(err, &bad) || bad.Offset > i) || err == nil && strings.TrimSpace(string(b[i:])) != "" {
				t.Errorf("%s%s, %d bytes: %v", tc.json, tc.cbor, i, err)
			}
		}
	}
}

// inside checks that what records say of places is within n bytes and in order.
func inside(t testing.TB, records []Record, n int) {
	t.Helper()
	at := 0
	for _, r := range records {
		if r.Off < at || r.Off+r.Len > n || r.Len <= 0 {
			t.Fatalf("record at %d, %d bytes, of %d behind %d", r.Off, r.Len, n, at)
		}
		at = r.Off
		for _, p := range r.Pairs {
			if p.Off < at || p.ValueOff <= p.Off || p.Off+p.Len > r.Off+r.Len || p.ValueOff >= p.Off+p.Len {
				t.Fatalf("pair %+v of %+v", p, r)
			}
			at = p.Off + p.Len
		}
		at = r.Off + r.Len
	}
}

func TestSenMLRules(t *testing.T) {
	for in, want := range map[string]string{
		`[{"n":"a","v":"1"}]`:                    `note at 10: "v" is a string that does not fit`,
		`[{"n":"b","v":1,"vs":"x"}]`:             `note at 16: a record with more than one value`,
		`[{"n":"c","vd":"*"}]`:                   `note at 10: "vd" is a string that does not fit`,
		`[{"n":"c","x_":2}]`:                     `note at 10: "x_" must be understood, and is not known`,
		`[{"bver":11,"n":"d"}]`:                  `note at 2: version 11 is not known`,
		`[{"n":"e","n":"f"}]`:                    `note at 10: "n" is repeated`,
		`[{"bn":1,"n":"f"}]`:                     `note at 2: "bn" is a number`,
		`[{"bv":"x","n":"f","v":1,"vlo":"1:x"}]`: `"bv" is a string`,
	} {
		records, err := ParseSenMLJSON([]byte(in))
		if got := sayPack(records); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %v\n%s", in, err, got)
		}
	}
	for in, want := range map[string]string{
		`{}`: "not an array of objects", `[1]`: "not an array of objects", `[{"n":"a"},`: "ends early", `[{"n":1e999}]`: "too large",
		`[{}] x`: "1 bytes after the pack", `[{"n" 1}]`: "expected colon",
	} {
		if _, err := ParseSenMLJSON([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
	for in, want := range map[string]string{
		"00": "unsigned, not array", "8101": "unsigned, not map", "81a1": "an item is missing", "80 00": "1 bytes after the pack",
		"81a1f500": "a label that is neither", "9f": "an item is missing",
	} {
		if _, err := ParseSenMLCBOR(unhex(t, in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
