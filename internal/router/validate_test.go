package router

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateName(t *testing.T) {
	deep := strings.Repeat("a/", MaxLevels-1) + "a"
	for _, c := range []struct {
		topic  string
		want   error
		clause string
	}{
		{topic: "a"},
		{topic: "/"},
		{topic: "//"},
		{topic: "a b/ü/😀"},
		{topic: "$SYS/x"},
		{topic: deep},
		{topic: strings.Repeat("x", MaxBytes)},
		{"", ErrEmpty, "MQTT-4.7.3-1"},
		{"a/+", ErrWildcard, "MQTT-4.7.0-1"},
		{"a+", ErrWildcard, "MQTT-4.7.0-1"},
		{"#", ErrWildcard, "MQTT-4.7.0-1"},
		{"a\x00b", ErrNUL, "MQTT-4.7.3-2"},
		{deep + "/", ErrTooDeep, ""},
		{strings.Repeat("/", MaxBytes), ErrTooDeep, ""}, // F.2 item 43
		{strings.Repeat("x", MaxBytes+1), ErrTooLong, "MQTT-4.7.3-3"},
	} {
		wantInvalid(t, c.topic, ValidateName(c.topic), c.want, c.clause)
		wantInvalid(t, c.topic, ValidateName([]byte(c.topic)), c.want, c.clause)
	}
}

func TestValidateFilter(t *testing.T) {
	deep := strings.Repeat("+/", MaxLevels-1) + "#"
	for _, c := range []struct {
		filter string
		want   error
		clause string
	}{
		{filter: "a"},
		{filter: "#"},
		{filter: "+"},
		{filter: "/"},
		{filter: "+/+"},
		{filter: "/+/#"},
		{filter: "a/+/b/#"},
		{filter: "$SYS/#"},
		{filter: "//#"}, // an empty level is a level
		{filter: "$share"},
		{filter: "$shared/a"},
		{filter: "$share/g/#"},
		{filter: "$share/g//"},
		{filter: "$share/g/$SYS/#"},
		{filter: "a/$share/b"},
		{filter: deep},
		{filter: "$share/g/" + deep},
		{"", ErrEmpty, "MQTT-4.7.3-1"},
		{"a#", ErrMultiLevel, "MQTT-4.7.1-1"},
		{"#/a", ErrMultiLevel, "MQTT-4.7.1-1"},
		{"##", ErrMultiLevel, "MQTT-4.7.1-1"},
		{"a/#/", ErrMultiLevel, "MQTT-4.7.1-1"},
		{"/+/#/", ErrMultiLevel, "MQTT-4.7.1-1"},
		{"+#", ErrSingleLevel, "MQTT-4.7.1-2"},
		{"a+", ErrSingleLevel, "MQTT-4.7.1-2"},
		{"+a/", ErrSingleLevel, "MQTT-4.7.1-2"},
		{"++", ErrSingleLevel, "MQTT-4.7.1-2"},
		{"a/b+/c", ErrSingleLevel, "MQTT-4.7.1-2"},
		{"a/\x00", ErrNUL, "MQTT-4.7.3-2"},
		{"+/" + deep, ErrTooDeep, ""},
		{"$share/g/+/" + deep, ErrTooDeep, ""},
		{strings.Repeat("x", MaxBytes+1), ErrTooLong, "MQTT-4.7.3-3"},
		{"$share/", ErrShareName, "MQTT-4.8.2-1"},
		{"$share//t", ErrShareName, "MQTT-4.8.2-1"},
		{"$share/g+/t", ErrShareName, "MQTT-4.8.2-2"},
		{"$share/#/t", ErrShareName, "MQTT-4.8.2-2"},
		{"$share/\x00/t", ErrShareName, "MQTT-4.8.2-2"},
		{"$share/g", ErrShareFilter, "MQTT-4.8.2-2"},
		{"$share/g/", ErrShareFilter, "MQTT-4.8.2-2"},
		{"$share/g/a#", ErrMultiLevel, "MQTT-4.7.1-1"},
		{"$share/$share/g/t", ErrShareNested, ""},
		{"$share/g/$share/h/t", ErrShareNested, ""},
		{"$queue/$share/g/t", ErrShareNested, ""},
	} {
		wantInvalid(t, c.filter, ValidateFilter(c.filter), c.want, c.clause)
	}
}

func wantInvalid(t *testing.T, input string, err, want error, clause string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%.40q: %v, want %v", input, err, want)
		return
	}
	var inv *Invalid
	if want == nil {
		return
	}
	if !errors.As(err, &inv) || inv.Input != input || inv.Clause != clause {
		t.Errorf("%.40q: %#v, want clause %q", input, err, clause)
	}
}

func TestInvalidIsFitForALogLine(t *testing.T) {
	err := ValidateFilter("a\n\x1b[31m#" + strings.Repeat("x", 1000))
	const want = `topic filter "a\n\x1b[31m#`
	if s := err.Error(); !strings.HasPrefix(s, want) || len(s) > 200 {
		t.Errorf("%s", s)
	}
	const exact = `topic filter "a#": "#" must be the whole last level [MQTT-4.7.1-1]`
	if s := ValidateFilter("a#").Error(); s != exact {
		t.Errorf("%s\nwant %s", s, exact)
	}
}

func TestSplitShared(t *testing.T) {
	for _, c := range []struct {
		filter, group, inner string
		shared               bool
	}{
		{"$share/g/a/b", "g", "a/b", true},
		{"$share/g//", "g", "/", true},
		{"$share/g/#", "g", "#", true},
		{"a/b", "", "a/b", false},
		{"$share", "", "$share", false},
	} {
		group, inner, shared, err := SplitShared(c.filter)
		if err != nil || group != c.group || inner != c.inner || shared != c.shared {
			t.Errorf("SplitShared(%q) = %q, %q, %v, %v", c.filter, group, inner, shared, err)
		}
	}
}

func TestValidationDoesNotAllocate(t *testing.T) {
	name := []byte("site/12/device/345/state")
	filter := "$share/group/site/+/device/+/#"
	if n := testing.AllocsPerRun(100, func() {
		if ValidateName(name) != nil || ValidateFilter(filter) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzValidateFilter(f *testing.F) {
	for _, s := range []string{"a/+/#", "$share/g/t", "$share//t", "a#", "+a", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		group, inner, shared, err := SplitShared(filter)
		if ValidateFilter(filter) != nil {
			return
		}
		if err != nil || inner == "" {
			t.Fatalf("%q is valid but splits into %q, %v", filter, inner, err)
		}
		if shared && (group == "" || strings.ContainsAny(group, "/+#") || "$share/"+group+"/"+inner != filter) {
			t.Fatalf("%q splits into %q and %q", filter, group, inner)
		}
		for i, level := range strings.Split(inner, "/") {
			if strings.Contains(level, "+") && level != "+" || strings.Contains(level, "#") && level != "#" || i >= MaxLevels {
				t.Fatalf("%q is valid with level %q", filter, level)
			}
		}
		if ValidateName(inner) == nil && !Match(inner, inner) {
			t.Fatalf("%q does not match itself", inner)
		}
	})
}
