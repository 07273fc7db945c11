package lwm2m

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tlvs are of the specification and of devices: object, TLV, and what it says.
var tlvs = []struct {
	object uint16
	hex    string
	want   string
}{
	{3, "C800144F70656E204D6F62696C6520416C6C69616E6365C801164C69676874776569676874204D324D20436C69656E74C80209333435303030313233C303312E30860641000141010588070842000ED842011388870841007D42010384C10964C10A0F830B410000C40D5182428FC60E2B30323A3030C11055", `0="Open Mobile Alliance" 1="Lightweight M2M Client" 2="345000123" 3="1.0" 6[0=1 1=5] 7[0=3800 1=5000] 8[0=125 1=900] 9=100 10=15 11[0=0] 13=2013-05-02T10:40:15Z 14="+02:00" 16="U"`},
	{2, "08000EC10001C101008302417F07C1037F080212C10003C101008702417F0761013601C1037F", `0(0=1 1=0 2[127=7] 3=127) 2(0=3 1=0 2[127=7 310=1] 3=127)`},
	{5, "08001ac001c10300c1050088080c410000410101410204410305c10902", `0(1="" 3=0 5=0 8[0=0 1=1 2=4 3=5] 9=2)`},
	{3303, "080029e415e141500000e415e241500000e415e300000000e415e442280000e4164441500000e3164543656c", `0(5601=13 5602=13 5603=0 5604=42 5700=13 5701="Cel")`},
	{3303, "08000be4164441ac0000e1164543", `0(5700=21.5 5701="C")`},
	{3303, "e816440840478ccccccccccd", `5700=47.1`},
	{25, "080072c8b46f3c2f3e", ""},
}

// say is what b holds, for the comparison.
func say(b []byte, object uint16, p Path) (string, error) {
	var parts []string
	for len(b) > 0 {
		t, n, err := ParseTLV(b)
		if err != nil {
			return strings.Join(parts, " "), err
		}
		b = b[n:]
		inner := p.Join(t.ID)
		if t.Kind.Container() {
			text, err := say(t.Value, object, inner)
			if err != nil {
				return text, err
			}
			parts = append(parts, fmt.Sprintf("%d%c%s%c", t.ID, "(["[t.Kind/2], text, ")]"[t.Kind/2]))
			continue
		}
		id := t.ID
		if t.Kind == ResourceInstance {
			id = p.IDs[p.Depth-1]
		}
		r, _ := LookupResource(object, id)
		v, err := ParseValue(r.Type, t.Value)
		if err != nil {
			return "", err
		}
		switch v := v.(type) {
		case string:
			parts = append(parts, fmt.Sprintf("%d=%q", t.ID, v))
		case time.Time:
			parts = append(parts, fmt.Sprintf("%d=%s", t.ID, v.Format(time.RFC3339)))
		default:
			parts = append(parts, fmt.Sprintf("%d=%v", t.ID, v))
		}
		again, err := AppendValue(nil, r.Type, v)
		if got, _ := ParseValue(r.Type, again); err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
			return "", fmt.Errorf("%v becomes % x, %v", v, again, err)
		}
	}
	return strings.Join(parts, " "), nil
}

func TestTLVOfTheSpecificationAndOfDevices(t *testing.T) {
	for _, tc := range tlvs {
		got, err := say(unhex(t, tc.hex), tc.object, Path{Depth: 1, IDs: [4]uint16{tc.object}})
		if tc.want == "" {
			if !errors.As(err, new(*Malformed)) {
				t.Errorf("%s: %q, %v", tc.hex, got, err)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("%s: %v\n%s", tc.hex, err, cmp.Diff(tc.want, got))
		}
	}
}

func TestTLVRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 255, 256, 300, 65535, 65536, 70000} {
		for _, id := range []uint16{0, 255, 256, 5700} {
			in := TLV{Kind: SingleResource, ID: id, Value: bytes.Repeat([]byte{7}, n)}
			b, err := in.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			out, size, err := ParseTLV(append(b, 1, 2))
			if err != nil || size != len(b) || out.ID != id || out.Kind != in.Kind || !bytes.Equal(out.Value, in.Value) {
				t.Errorf("%d, %d: %+v, %d, %v", n, id, out, size, err)
			}
			for i := range min(len(b), 20) {
				if _, _, err := ParseTLV(b[:i]); err == nil {
					t.Errorf("%d of %d bytes are one", i, len(b))
				}
			}
		}
	}
	if _, err := (TLV{Value: make([]byte, MaxValue+1)}).Append(nil); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	for want, in := range map[string]TLV{
		"d00b012c":   {Kind: SingleResource, ID: 11, Value: make([]byte, 300)},
		"d80b011170": {Kind: SingleResource, ID: 11, Value: make([]byte, 70000)},
		"e41644":     {Kind: SingleResource, ID: 5700, Value: make([]byte, 4)},
	} {
		if b, _ := in.Append(nil); hex.EncodeToString(b[:len(want)/2]) != want {
			t.Errorf("% x, want %s", b[:6], want)
		}
	}
}

func TestKindsWithinKinds(t *testing.T) {
	for _, tc := range []struct {
		outer, inner Kind
		ok           bool
	}{
		{ObjectInstance, SingleResource, true},
		{ObjectInstance, MultipleResource, true},
		{MultipleResource, ResourceInstance, true},
		{ObjectInstance, ObjectInstance, false},
		{MultipleResource, SingleResource, false},
		{ObjectInstance, ResourceInstance, false},
	} {
		if got := tc.outer.Holds(tc.inner); (got == "") != tc.ok {
			t.Errorf("%v in %v: %q", tc.inner, tc.outer, got)
		}
	}
}

func TestValues(t *testing.T) {
	for _, tc := range []struct {
		t    Type
		hex  string
		want any
	}{
		{Integer, "9c", int64(-100)},
		{Integer, "ff7f", int64(-129)},
		{Integer, "0081", int64(129)},
		{Integer, "80000000", int64(math.MinInt32)},
		{Integer, "0000000080000000", int64(1 << 31)},
		{Integer, "8000000000000000", int64(math.MinInt64)},
		{UnsignedInteger, "9c", uint64(156)},
		{UnsignedInteger, "ffffffffffffffff", uint64(math.MaxUint64)},
		{Time, "5182428f", time.Unix(1367491215, 0).UTC()},
		{Float, "41ac0000", 21.5},
		{Float, "40478ccccccccccd", 47.1},
		{Boolean, "01", true},
		{ObjectLink, "00420001", Link{66, 1}},
		{String, "", ""},
		{String, "c3bc", "ü"},
		{Opaque, "00ff", []byte{0, 0xff}},
		{Integer, "", nil},
	} {
		b := unhex(t, tc.hex)
		got, err := ParseValue(tc.t, b)
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%v %s: %v\n%s", tc.t, tc.hex, err, diff)
		}
		if again, err := AppendValue(nil, tc.t, got); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v %s: % x, %v", tc.t, tc.hex, again, err)
		}
	}
	for _, tc := range []struct {
		t   Type
		hex string
	}{{Integer, "010203"}, {UnsignedInteger, "010203"}, {Time, "0102030405"}, {Float, "01"}, {Boolean, "02"}, {Boolean, "0001"}, {ObjectLink, "01"}, {String, "ff"}} {
		if v, err := ParseValue(tc.t, unhex(t, tc.hex)); !errors.As(err, new(*Malformed)) {
			t.Errorf("%v %s: %v, %v", tc.t, tc.hex, v, err)
		}
	}
	if _, err := AppendValue(nil, Integer, "x"); err == nil {
		t.Error("a string is an integer")
	}
}

func TestRegistry(t *testing.T) {
	for _, tc := range []struct {
		object, id  uint16
		name, units string
		kind        Type
	}{
		{3, 9, "Battery Level", "%", Integer},
		{3303, 5700, "Sensor Value", "", Float},
		{3308, 5900, "Set Point Value", "", Float},
		{1, 1, "Lifetime", "s", Integer},
		{5, 0, "Package", "", Opaque},
		{6, 0, "Latitude", "lat", Float},
		{40000, 5850, "On/Off", "", Boolean},
	} {
		if r, ok := LookupResource(tc.object, tc.id); !ok || r.Name != tc.name || r.Units != tc.units || r.Type != tc.kind {
			t.Errorf("/%d/-/%d: %+v", tc.object, tc.id, r)
		}
	}
	if r, ok := LookupResource(3, 5000); ok {
		t.Error(r)
	}
	if o, ok := LookupObject(3303); !ok || o.Name != "Temperature" {
		t.Error(o)
	}
	if _, ok := LookupObject(5432); ok {
		t.Error("object 5432")
	}
}

func TestPath(t *testing.T) {
	for s, want := range map[string]string{"/": "/", "": "/", "/3/0/9": "/3/0/9", "3303": "/3303", "/3/0/7/1": "/3/0/7/1"} {
		if p, ok := ParsePath(s); !ok || p.String() != want {
			t.Errorf("%q: %v, %v", s, p, ok)
		}
	}
	for _, s := range []string{"/rd", "/3/0/7/1/2", "/70000", "/3//9", "/-1"} {
		if p, ok := ParsePath(s); ok {
			t.Errorf("%q: %v", s, p)
		}
	}
	if p := (Path{Depth: 4}).Join(1); p.Depth != 4 {
		t.Error(p)
	}
}
