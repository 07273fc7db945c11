package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typedOptions reads options as on a command line; -x=false is a switch that is off.
func typedOptions(t *testing.T, p program, words ...string) []assignment {
	t.Helper()
	var all []assignment
	for i := 0; i < len(words); i++ {
		word, off := strings.CutSuffix(words[i], "=false")
		o := findOption(optionsFor(p, false), word)
		if o == nil {
			t.Fatalf("%s has no option %s", p, word)
		}
		a := assignment{option: o, off: off}
		if n := o.takes(words[i+1:]); n > 0 {
			a.value = strings.Join(words[i+1:i+1+n], wordSeparator)
			i += n
		}
		all = append(all, a)
	}
	return all
}

func TestSourcesLieOverEachOther(t *testing.T) {
	for _, c := range []struct {
		name         string
		lower, upper []string
		want         []string
	}{
		{name: "another option", lower: []string{"-t", "a"}, upper: []string{"-v"}, want: []string{"topic a", "verbose "}},
		{name: "the same option", lower: []string{"-t", "a", "-t", "b"}, upper: []string{"-t", "c"}, want: []string{"topic c"}},
		{name: "another way to the password", lower: []string{"-P", "x"}, upper: []string{"--password-command", "y"}, want: []string{"password-command y"}},
		{name: "a URL", lower: []string{"-h", "a", "-p", "1", "--tls", "-u", "me"}, upper: []string{"-L", "mqtt://b"}, want: []string{"username me", "url mqtt://b"}},
		{name: "a host", lower: []string{"-L", "mqtts://a:1"}, upper: []string{"-h", "b"}, want: []string{"url mqtts://a:1", "host b"}},
		{name: "a host for a socket", lower: []string{"--unix", "/a"}, upper: []string{"-h", "b"}, want: []string{"host b"}},
		{name: "a switch that is off", lower: []string{"-v", "--tls"}, upper: []string{"--verbose=false"}, want: []string{"tls "}},
		{name: "off does not choose another way", lower: []string{"-P", "x"}, upper: []string{"--ask-password=false"}, want: []string{"pw x"}},
		{name: "another way to print", lower: []string{"-o", "jsonl", "-v"}, upper: []string{"--table"}, want: []string{"verbose ", "table "}},
		{name: "off and on again", upper: []string{"-v", "--verbose=false", "-v"}, want: []string{"verbose "}},
		{
			name: "properties by name", lower: []string{"-D", "connect", "receive-maximum", "1", "-D", "publish", "content-type", "a", "-D", "connect", "user-property", "a", "b"},
			upper: []string{"-D", "publish", "Content-Type", "c", "-D", "connect", "user-property", "a", "d"},
			want:  []string{"property connect receive-maximum 1", "property connect user-property a b", "property publish Content-Type c", "property connect user-property a d"},
		},
		{
			name: "payload rules", lower: []string{"--payload", "a=json", "--payload", "b=json"}, upper: []string{"-v", "--payload", "c=json", "--payload", "d=json"},
			want: []string{"payload c=json", "payload d=json", "payload a=json", "payload b=json", "verbose "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range overlay(typedOptions(t, progSub, c.lower...), typedOptions(t, progSub, c.upper...)) {
				got = append(got, a.option.long+" "+strings.ReplaceAll(a.value, wordSeparator, " "))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesOfProfilesGiveWay(t *testing.T) {
	got := overlay(typedOptions(t, progPub, "-m", "a", "-r"), typedOptions(t, progPub, "-f", "b"))
	if len(got) != 2 || got[0].option.long != "retain" || got[1].option.long != "file" {
		t.Error(got)
	}
}

func TestVariables(t *testing.T) {
	t.Setenv("IOTCTL_HOST", "h")
	t.Setenv("IOTCTL_URL", "mqtt://u")
	t.Setenv("IOTCTL_TOPIC", "a b\nc\r\n\n")
	t.Setenv("IOTCTL_PROPERTY", "connect user-property 'a b' c\npublish content-type text/plain")
	t.Setenv("IOTCTL_VERBOSE", "1")
	t.Setenv("IOTCTL_RETAINED_ONLY", "false")
	t.Setenv("IOTCTL_PASSWORD", "p")
	t.Setenv("IOTCTL_PASSWORD_FILE", "f")
	t.Setenv("IOTCTL_COUNT", "")
	t.Setenv("IOTCTL_Username", "no variable of ours")
	t.Setenv("IOTCTL_MESSAGE", "not of sub")
	all, err := environmentOptions(optionsFor(progSub, false))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range all {
		text := a.option.long + " " + strings.ReplaceAll(a.value, wordSeparator, "|") + " " + a.origin
		if a.off {
			text += " off"
		}
		got = append(got, text)
	}
	if got[0] != "url mqtt://u IOTCTL_URL" {
		t.Errorf("the URL is not the first of %q", got)
	}
	slices.Sort(got)
	want := []string{
		"host h IOTCTL_HOST",
		"property connect|user-property|a b|c IOTCTL_PROPERTY",
		"property publish|content-type|text/plain IOTCTL_PROPERTY",
		"pw p IOTCTL_PASSWORD",
		"retained-only  IOTCTL_RETAINED_ONLY off",
		"topic a b IOTCTL_TOPIC",
		"topic c IOTCTL_TOPIC",
		"url mqtt://u IOTCTL_URL",
		"verbose  IOTCTL_VERBOSE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryOptionHasAVariable(t *testing.T) {
	text := environmentText()
	for i, name := range programNames {
		for _, o := range optionsFor(1<<i, false) {
			if !strings.Contains(text, "\n  "+variableOf(o)+" ") {
				t.Errorf("%s: --%s: help environment does not know %s", name, o.long, variableOf(o))
			}
			if found := findOption(optionsFor(1<<i, false), "--"+strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variableOf(o), variablePrefix), "_", "-"))); found == nil || found.long != o.long {
				t.Errorf("%s: %s is not read as --%s", name, variableOf(o), o.long)
			}
		}
	}
}

// Options that lower sources would break if they were not known as alternatives.
func TestAlternativesAreOptions(t *testing.T) {
	all := optionsFor(progAll, false)
	for _, names := range append(slices.Clone(alternatives), urlSays) {
		for _, name := range names {
			if findOption(all, "--"+name) == nil {
				t.Errorf("there is no --%s", name)
			}
		}
	}
}

func TestASharedSecretOfTheEnvironmentIsForWhoUsesIt(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("IOTCTL_PSK", "00ff")
	t.Setenv("IOTCTL_PSK_IDENTITY", "dev")
	s, err := ownSettings(progPub, typedOptions(t, progPub, "-t", "a", "-h", "localhost"))
	if err != nil || s.psk != "" {
		t.Errorf("%v, key %q", err, s.psk)
	}
	s, err = ownSettings(progPub, typedOptions(t, progPub, "-t", "a", "-L", "mqttsns://localhost"))
	if err != nil || s.psk != "00ff" || s.pskID != "dev" {
		t.Error(err)
	}
	if _, err = ownSettings(progPub, typedOptions(t, progPub, "-t", "a", "--psk", "00", "--psk-identity", "x")); err == nil {
		t.Error("a key that was typed is ignored")
	}
}
