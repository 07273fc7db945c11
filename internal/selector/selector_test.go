package selector

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// packet is a Subject by hand.
type packet map[string][]Value

func (p packet) Lookup(name string) []Value { return p[name] }

// publish is what most expressions below are asked about.
var publish = packet{
	"type":             {Text("PUBLISH")},
	"direction":        {Text("c2s")},
	"protocol":         {Text("mqtt")},
	"topic":            {Text("dev/7/t")},
	"client":           {Text("sensor-7/a")},
	"qos":              {Int(1)},
	"retain":           {Bool(false)},
	"dup":              {Bool(true)},
	"size":             {Int(4096)},
	"payload":          {Bytes([]byte(`{"t":21.5}`)), Text(`{"t":21.5}`)},
	"reading":          {Text("21.5")},
	"after":            {Duration(150 * time.Millisecond)},
	"time":             {Time(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC))},
	"code":             {Int(0x97), Text("Quota exceeded")},
	"user-property":    {Text("a"), Text("b c")},
	"remaining-length": {Int(4094)},
	"token":            {Bytes([]byte{0xff, 0})},
	"big":              {Uint(1 << 63)},
	"huge":             {Int(1<<62 + 1)},
	"error":            {},
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"", true},
		{"  ", true},
		{"PUBLISH", true},
		{"publish", true},
		{"PUBACK", false},
		{"pubrel or PUBLISH", true},
		{"c2s", true},
		{"s2c", false},
		{"both", true},
		{"not both", false},
		{"c2s PUBLISH topic=dev/#", true},
		{"topic=dev/+/t", true},
		{"topic = dev/+/t and qos = 1", true},
		{"topic=dev/+", false},
		{"topic=dev/7/t", true},
		{`topic="dev/+/t"`, true},
		{"topic!=dev/#", false},
		{"topic!=cmd/#", true},
		{"topic~^dev/[0-9]+/", true},
		{"topic!~^dev/", false},
		{"topic!~^cmd/", true},
		{"nothing!~x", false},
		{"client=sensor-*", true},
		{"client=sensor-[0-9]/a", true},
		{"client=sensor-[!0-9]/a", false},
		{"client=*-?/*", true},
		{"client=sensor", false},
		{"qos=1", true},
		{"qos==1", true},
		{"qos>0", true},
		{"qos>1", false},
		{"qos>=1 qos<=1 qos<2", true},
		{"qos=0x1", true},
		{"qos=1.0", true},
		{"qos=one", false},
		{"qos!=2", true},
		{"nothing!=2", false},
		{"nothing=2", false},
		{"nothing", false},
		{"retain", false},
		{"not retain", true},
		{"!retain", true},
		{"dup", true},
		{"dup=1 dup=yes dup=true", true},
		{"retain=no", true},
		{"retain=1", false},
		{"size>4kB", true},
		{"size=4KiB", true},
		{"size>4.2kB", false},
		{"after>100ms", true},
		{"after<1s after>0.1", true},
		{"after<0h1m", true},
		{"time>2026-05-04T00:00:00Z", true},
		{"time>2026-05-05T00:00:00Z", false},
		{"payload~\"t\"", true},
		{`payload~"\"t\":2[0-9]\.5"`, true},
		{`payload~'"t":(20|21)'`, true},
		{`payload~t.:(20|21)`, true},
		{`(payload~t.:(20|21))`, true},
		{`payload={"t":21.5}`, true},
		{"reading>21", true},
		{"reading>22", false},
		{"payload>21", false},
		{"code=0x97", true},
		{"code=quota-exceeded", true},
		{"code='Quota Exceeded'", true},
		{"code>=0x80", true},
		{"code=quota*", true},
		{"user-property=a", true},
		{`user-property="b c"`, true},
		{"user-property=d", false},
		{"user-property!=a", false},
		{"user-property!=d", true},
		{"Remaining-Length>4000", true},
		{`token="\xff\x00"`, true},
		{"token~^\\xff", false}, // a regular expression is about text
		{"big=9223372036854775808", true},
		{"big>9223372036854775807", false}, // beyond 2^63 numbers are rounded
		{"huge=4611686018427387905", true},
		{"huge=4611686018427387904", false},
		{"error", false},
		{"not error", true},
		{"PUBACK or PUBLISH and qos=1", true},
		{"PUBLISH qos=2 or PUBACK", false},
		{"(PUBACK or PUBLISH) (qos=1)", true},
		{"not (PUBACK or qos=1)", false},
		{"not PUBACK qos=1", true},
		{"PUBLISH && (qos=2 || dup)", true},
		{"protocol=MQTT", true},
		{"qos~^[12]$", true},
		{"after~^0.15$", true},
		{"type=pub*", true},
		{"or=5 or PUBLISH", true},
	} {
		e, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := e.Match(publish); got != tt.want {
			t.Errorf("%s: %v", tt.text, got)
		}
	}
}

func TestErrorsHaveColumnAndHint(t *testing.T) {
	for _, tt := range []struct {
		text   string
		column int
		reason string
		hint   string
	}{
		{"topic=", 7, "topic= needs a value", `topic=""`},
		{"PUBLISH and", 12, "a term is missing at the end", ""},
		{"or PUBLISH", 1, "a term is missing in front of or", ""},
		{"(PUBLISH", 1, "the parenthesis is not closed", "write ) where it ends"},
		{"PUBLISH)", 8, "nothing is opened that this closes", ""},
		{"()", 2, "a term is missing in front of )", ""},
		{`topic="a`, 7, "the quotation is not closed", ""},
		{"é=1 payload~(", 13, "payload~: missing closing ): `(`", ""},
		{"=5", 1, "a name is missing in front of =", "topic=sensors/+"},
		{"qos>many", 5, `qos> needs a number, and "many" is none`, "qos>10"},
		{"qos>", 5, "qos> needs a value", `qos>""`},
		{"PUBLISH 17", 9, "a number by itself: of which field?", "size>17"},
		{`"a"`, 1, "a text by itself: of which field?", `payload~"a"`},
		{"PUBLISH $", 9, `'$' begins no term`, ""},
		{"\xff", 1, "not UTF-8", ""},
		{strings.Repeat("(", 100), 66, "more than 64 in each other", ""},
		{strings.Repeat("not ", 100) + "a", 261, "more than 64 in each other", ""},
	} {
		_, err := Parse(tt.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if e.Column != tt.column || e.Reason != tt.reason || e.Hint != tt.hint {
			t.Errorf("%s: column %d: %s (%s), want %d: %s (%s)", tt.text, e.Column, e.Reason, e.Hint, tt.column, tt.reason, tt.hint)
		}
	}
}

func TestNames(t *testing.T) {
	e, err := Parse("c2s PUBLISH Topic=a (qos>0 or topic=b) not retain")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Names(), []string{"direction", "qos", "retain", "topic", "type"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNameOfAField(t *testing.T) {
	for field, want := range map[string]string{
		"Remaining Length": "remaining-length",
		"QoS":              "qos",
		"option 6 (+6)":    "option-6-6",
		"└ client id":      "└-client-id",
		"(x)":              "x",
		"a  b":             "a-b",
		"":                 "",
	} {
		if got := Name(field); got != want {
			t.Errorf("%q is %q, want %q", field, got, want)
		}
		if want != "" && !Is(want, field) {
			t.Errorf("%q is not %q", want, field)
		}
		if Is(want+"x", field) || Is("x"+want, field) {
			t.Errorf("%q is more than %q", field, want)
		}
	}
}

func TestOfTakesTheValuesOfFields(t *testing.T) {
	e, err := Parse("x=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{"1", []byte("1"), true, int64(1), uint64(1), 1.0, time.Second} {
		value, ok := Of(v)
		if !ok || !e.Match(packet{"x": {value}}) {
			t.Errorf("%T is not 1", v)
		}
	}
	if _, ok := Of(struct{}{}); ok {
		t.Error("a struct has become a value")
	}
}

func TestValueAsText(t *testing.T) {
	for want, v := range map[string]Value{
		"a": Text("a"), "b": Bytes([]byte("b")), "-1": Int(-1), "2": Uint(2), "0.5": Float(0.5), "yes": Bool(true), "no": Bool(false),
		"1.5": Duration(1500 * time.Millisecond), "2026-05-04T03:02:01Z": Time(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)),
	} {
		if got := v.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

const usual = `c2s PUBLISH topic=dev/+/t client=sensor-* qos>0 size>1kB not retain payload~21 reading>3 code=quota-exceeded`

func TestMatchDoesNotAllocate(t *testing.T) {
	e, err := Parse(usual)
	if err != nil {
		t.Fatal(err)
	}
	if !e.Match(publish) {
		t.Fatal("no match")
	}
	if n := testing.AllocsPerRun(100, func() { e.Match(publish) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	e, err := Parse(usual)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Match(publish)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{usual, `a="b\x00\"" or (not c2s)`, "a!~(b|c) x>4KiB", "payload~[", "client=[a-", "time>2026-05-04T00:00:00Z"} {
		f.Add(s, "client-7")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		e, err := Parse(text)
		if err != nil {
			var mistake *Error
			if !errors.As(err, &mistake) || mistake.Column < 1 || mistake.Column > len(text)+1 {
				t.Fatalf("%v", err)
			}
			return
		}
		s := packet{}
		for _, name := range e.Names() {
			s[name] = []Value{Text(value), Bytes([]byte(value)), Int(int64(len(value))), Bool(value == "")}
		}
		e.Match(s)
	})
}

func TestTypesThatAnExpressionNames(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"PUBLSH topic=a", []string{"PUBLSH"}},
		{"not (publish or type=pubak)", []string{"publish", "pubak"}},
		{"type!=PINGREQ type=PUB* type~^P type qos=1 s2c", []string{"PINGREQ"}},
		{"", nil},
	} {
		e, err := Parse(tt.text)
		if err != nil {
			t.Fatal(tt.text, err)
		}
		if got := e.Types(); !slices.Equal(got, tt.want) {
			t.Errorf("%q: types %q, want %q", tt.text, got, tt.want)
		}
	}
}
