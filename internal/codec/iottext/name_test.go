package iottext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"temp":                           "",
		"aa:bb:cc":                       "",
		"living room":                    "",
		"température":                    "",
		"...":                            "",
		"a$b":                            "",
		"a|b":                            "",
		strings.Repeat("x", MaxName):     "",
		"":                               "is empty",
		strings.Repeat("x", MaxName+1):   "is longer than 128 bytes",
		".":                              `"." is a directory`,
		"..":                             `".." is a directory`,
		"$SYS":                           `"$SYS" begins with a dollar sign`,
		"a/b":                            `"a/b" holds '/'`,
		`a\b`:                            `"a\\b" holds '\\'`,
		"+":                              `"+" holds '+'`,
		"a#":                             `"a#" holds '#'`,
		"a\x00":                          `"a\x00" holds '\x00'`,
		"a\n":                            `"a\n" holds '\n'`,
		"a\u0085":                        `"a\u0085" holds '\u0085'`,
		"a\u202eb":                       `"a\u202eb" holds '\u202e'`,
		"a\xff":                          `"a\xff" is not UTF-8`,
		" a":                             `" a" has a space at one end`,
		"a ":                             `"a " has a space at one end`,
		strings.Repeat("x", 100) + "/..": `"` + strings.Repeat("x", 32) + `" holds '/'`,
	} {
		err := CheckName([]byte(name))
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != "the name "+want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

func TestSafeName(t *testing.T) {
	for id, want := range map[string]string{
		"lamp":                    "lamp",
		"":                        "_",
		".":                       "_",
		"..":                      "_.",
		"a/b#+":                   "a_b__",
		"$x":                      "_x",
		" é ":                     "_é_",
		"é ":                      "é_",
		"a\x00\xffb":              "a__b",
		strings.Repeat("é", 1000): strings.Repeat("é", MaxName/2),
		"x" + strings.Repeat("é", 1000): "x" + strings.Repeat("é",
			(MaxName-1)/2),
	} {
		if got := string(SafeName([]byte("="), id)); got != "="+want {
			t.Errorf("%q became %q, want %q", id, got[1:], want)
		}
	}
}

// FuzzNames: what is called safe passes the check, and a name that does is its
// own safe form.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"lamp", "..", "$", " ", "a/b", "é ", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		safe := SafeName(nil, id)
		if err := CheckName(safe); err != nil || !utf8.Valid(safe) {
			t.Fatalf("%q became %q: %v", id, safe, err)
		}
		if CheckName([]byte(id)) == nil && string(safe) != id {
			t.Fatalf("%q became %q", id, safe)
		}
	})
}
