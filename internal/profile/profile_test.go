package profile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/profile"
)

func schema() *profile.Schema {
	both := []string{"pub", "sub"}
	return &profile.Schema{
		Commands: both,
		Options: []profile.Option{
			{Name: "url", Commands: both},
			{Name: "username", Commands: both},
			{Name: "pw", Commands: both},
			{Name: "password-file", Path: true, Commands: both},
			{Name: "password-command", Commands: both},
			{Name: "password-keyring", Commands: both},
			{Name: "ask-password", Switch: true, Commands: both},
			{Name: "port", Commands: both},
			{Name: "proxy", Commands: both},
			{Name: "ws-header", Repeats: true, Commands: both},
			{Name: "cafile", Path: true, Commands: both},
			{Name: "tls", Switch: true, Commands: both},
			{Name: "property", Repeats: true, Words: true, Commands: both},
			{Name: "payload", Repeats: true, Commands: both},
			{Name: "topic", Repeats: true, Commands: both},
			{Name: "count", Commands: []string{"sub"}},
		},
	}
}

const plant = `# of the plant
about: the plant in Graz
extends: base
url: mqtts://broker.example
username: dashboard
password: {keyring: plant} # not here
port: 1883
tls: false
cafile: graz.pem
property:
  - connect user-property site 'graz 1'
  - [publish, content-type, application/json]
payload:
  sensors/+/raw: gzip|json
  '#': auto
sub:
  topic: ['sensors/#', alarms]
  count: 3
  password: {command: [pass, show, "my mqtt"]}
`

func TestAProfileIsReadInOrderWithItsLines(t *testing.T) {
	p, err := profile.Parse("plant", "/etc/x/plant.yaml", []byte(plant), schema())
	if err != nil {
		t.Fatal(err)
	}
	want := &profile.Profile{
		Name: "plant", Path: "/etc/x/plant.yaml", About: "the plant in Graz", Extends: "base",
		Settings: []profile.Setting{
			{Option: "url", Value: "mqtts://broker.example", Line: 4},
			{Option: "username", Value: "dashboard", Line: 5},
			{Option: "password-keyring", Value: "plant", Line: 6},
			{Option: "port", Value: "1883", Line: 7},
			{Option: "tls", Off: true, Line: 8},
			{Option: "cafile", Value: filepath.FromSlash("/etc/x/graz.pem"), Line: 9},
			{Option: "property", Value: "connect user-property site 'graz 1'", Line: 11},
			{Option: "property", Value: "publish content-type application/json", Line: 12},
			{Option: "payload", Value: "sensors/+/raw=gzip|json", Line: 14},
			{Option: "payload", Value: "#=auto", Line: 15},
			{Command: "sub", Option: "topic", Value: "sensors/#", Line: 17},
			{Command: "sub", Option: "topic", Value: "alarms", Line: 17},
			{Command: "sub", Option: "count", Value: "3", Line: 18},
			{Command: "sub", Option: "password-command", Value: "pass show 'my mqtt'", Line: 19},
		},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	p, err := profile.Parse("plant", "", []byte(plant), schema())
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Text(schema())
	if err != nil {
		t.Fatal(err)
	}
	again, err := profile.Parse("plant", "", text, schema())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, q := range []*profile.Profile{p, again} {
		for i := range q.Settings {
			q.Settings[i].Line = 0
		}
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
	if !strings.Contains(string(text), "\nport: 1883\n") {
		t.Errorf("a number has quotation marks:\n%s", text)
	}
}

func TestMistakesAreNamedWithTheirLines(t *testing.T) {
	for text, want := range map[string]string{
		"usrname: a":                      `x.yaml:1: unknown key "usrname"; did you mean "username"?`,
		"\npasswrd: a":                    `x.yaml:2: unknown key "passwrd"; did you mean "password"?`,
		"ca_file: a":                      `x.yaml:1: unknown key "ca_file"; did you mean "cafile"?`,
		"zzzzzzzz: a":                     `x.yaml:1: unknown key "zzzzzzzz"`,
		"tls: maybe":                      `x.yaml:1: tls must be true or false`,
		"port: [1, 2]":                    `x.yaml:1: port must be one value`,
		"port:":                           `x.yaml:1: port has no value`,
		"port: 1\nport: 2":                `x.yaml:2: the key "port" is there twice`,
		"pub: {count: 3}":                 `x.yaml:1: iotctl pub has no option --count`,
		"pub: {extends: a}":               `x.yaml:1: unknown key "extends"`,
		"pub: 3":                          `x.yaml:1: must be keys with values, as in url: mqtts://broker.example`,
		"password: {keyring: }":           `x.yaml:1: password: keyring has no value`,
		"password: {vault: a}":            `x.yaml:1: password: unknown key "vault": must be keyring, command, file or ask`,
		"password: [a]":                   `x.yaml:1: password must be a text, or one of keyring: NAME, command: PROGRAM, file: FILE and ask: true in braces`,
		"payload: {a: }":                  `x.yaml:1: payload: a: must be a format, as in gzip|json`,
		"topic: [{a: b}]":                 `x.yaml:1: topic: must be a list of values`,
		"- a":                             `x.yaml:1: must be keys with values, as in url: mqtts://broker.example`,
		"a: [":                            `x.yaml: line 1: did not find expected node content`,
		"<<: {port: 1}":                   `x.yaml:1: unknown key "<<"`,
		"usrname: a\nsub:\n  topics: [a]": "x.yaml:1: unknown key \"usrname\"; did you mean \"username\"?\nx.yaml:3: unknown key \"topics\"; did you mean \"topic\"?",
	} {
		_, err := profile.Parse("x", "x.yaml", []byte(text), schema())
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n%v\nwant\n%s", text, err, want)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	for _, c := range []struct{ option, value, want string }{
		{"pw", "s3cret", "(hidden)"},
		{"psk", "00ff", "(hidden)"},
		{"url", "mqtts://me:s3cret@host:1/a?b", "mqtts://me:…@host:1/a?b"},
		{"url", "mqtts://me:s3%40cret@host", "mqtts://me:…@host"},
		{"url", "mqtts://me@host", "mqtts://me@host"},
		{"url", "mqtts://me:s3 cret@host:x", "(hidden)"},
		{"proxy", "socks5h://a:b@c:1", "socks5h://a:…@c:1"},
		{"ws-header", "Authorization: Bearer x", "Authorization: (hidden)"},
		{"property", "connect authentication-data x", "connect authentication-data (hidden)"},
		{"property", "connect user-property a b", "connect user-property a b"},
		{"username", "me", "me"},
	} {
		s := profile.Setting{Option: c.option, Value: c.value}
		if got := s.Masked(); strings.ReplaceAll(got, "'", "") != c.want {
			t.Errorf("%s %s: %s, want %s", c.option, c.value, got, c.want)
		}
		if s.Secret() != (c.want != c.value) {
			t.Errorf("%s %s: secret %t", c.option, c.value, s.Secret())
		}
	}
}

func TestSplitFindsWhatQuoteJoins(t *testing.T) {
	for in, want := range map[string]string{
		`a b c`:          "a|b|c",
		`  a  "b c" `:    "a|b c",
		`a 'b "c" d' ''`: `a|b "c" d|`,
		`a"b c"d`:        "ab cd",
		``:               "",
	} {
		got, err := profile.Split(in)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := profile.Split(`a "b`); err == nil {
		t.Error("an open quotation mark passes")
	}
	words := []string{"a", "", "b c", `it's "so"`, `"`, "'", "tab\there"}
	got, err := profile.Split(profile.Quote(words...))
	if diff := cmp.Diff(words, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func dirWith(t *testing.T, files map[string]string, mode os.FileMode) profile.Dir {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name+".yaml")
		if err := errors.Join(os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	return profile.Dir(dir)
}

func TestAFileThatOthersCanReadHoldsNoSecret(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the bits of a file say nothing on Windows")
	}
	for text, refused := range map[string]bool{
		"url: mqtt://a\nusername: b":      false,
		"password: {keyring: a}":          false,
		"password: {ask: true}":           false,
		"password: s3cret":                true,
		"url: mqtt://a:b@c":               true,
		"password: {command: pass mqtt}":  true,
		"ws-header: ['Authorization: x']": true,
	} {
		for _, mode := range []os.FileMode{0o644, 0o640, 0o602, 0o600} {
			d := dirWith(t, map[string]string{"x": text}, mode)
			_, err := d.Load("x", schema())
			var exposed *profile.ExposedError
			if errors.As(err, &exposed) != (refused && mode != 0o600) {
				t.Errorf("%q with mode %o: %v", text, mode, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error(err)
			}
		}
	}
}

func TestProfilesAreBuiltUponOthers(t *testing.T) {
	d := dirWith(t, map[string]string{
		"base": "tls: true", "plant": "extends: base\nport: 1", "line": "extends: plant\nport: 2",
		"round": "extends: about", "about": "extends: round", "lost": "extends: nobody",
	}, 0o600)
	chain, err := d.Chain("line", schema())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range chain {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"base", "plant", "line"}, names); diff != "" {
		t.Error(diff)
	}
	if _, err := d.Chain("round", schema()); err == nil || !strings.Contains(err.Error(), "goes round in a circle") {
		t.Error(err)
	}
	if _, err := d.Chain("lost", schema()); err == nil || !strings.HasSuffix(err.Error(), `lost.yaml: extends: there is no profile "nobody"`) {
		t.Error(err)
	}
	_, err = d.Chain("plnt", schema())
	var missing *profile.NotFoundError
	if !errors.As(err, &missing) || missing.Near != "plant" {
		t.Error(err)
	}
	if _, err := d.Chain("../../etc/passwd", schema()); err == nil || !strings.Contains(err.Error(), "is no name of a profile") {
		t.Error(err)
	}
	names, err = d.Names()
	if diff := cmp.Diff([]string{"about", "base", "line", "lost", "plant", "round"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if names, err := profile.Dir(filepath.Join(string(d), "none")).Names(); names != nil || err != nil {
		t.Error(names, err)
	}
}

func TestAPasswordIsSetWithoutLosingComments(t *testing.T) {
	text := "# of the plant\nurl: mqtts://broker.example # TLS\npassword: old\nsub:\n  count: 3\n"
	got, err := profile.SetPassword([]byte(text), profile.Setting{Option: "password-keyring", Value: "plant"})
	if err != nil {
		t.Fatal(err)
	}
	want := "# of the plant\nurl: mqtts://broker.example # TLS\npassword: {keyring: plant}\nsub:\n  count: 3\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	got, err = profile.SetPassword([]byte("password-file: a\nurl: mqtt://a\n"), profile.Setting{Option: "pw", Value: "x: y"})
	if want := "url: mqtt://a\npassword: 'x: y'\n"; string(got) != want || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if got, err = profile.SetPassword(nil, profile.Setting{Option: "pw", Value: "x"}); string(got) != "password: x\n" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(plant))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("password: {command: [a, 'b']}\npayload: [x]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := profile.Parse("x", "", text, schema())
		if err != nil {
			return
		}
		out, err := p.Text(schema())
		if err != nil {
			t.Fatalf("%v: %+v", err, p)
		}
		if _, err := profile.Parse("x", "", out, schema()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}
