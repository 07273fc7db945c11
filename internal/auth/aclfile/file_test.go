package aclfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/authtest"
)

const sample = `
# for anonymous clients
topic read public/#

user alice
topic a/b
topic read a/+/state
topic write  in/words of alice
topic readwrite home/#
topic deny home/safe
topic deny home/cellar/#
topic read #
topic deny $SYS/broker/secret
topic read $SYS/#

user bob
topic %u/literal

pattern read down/%c/#
pattern write up/%u/%c
pattern deny down/%c/debug
pattern read notice
`

var (
	alice = auth.Identity{Name: "alice", ClientID: "c1", Username: "alice"}
	bob   = auth.Identity{Name: "bob", ClientID: "c2"}
	liar  = auth.Identity{Name: "", ClientID: "c3", Username: "alice"}
)

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, text string) *File {
	t.Helper()
	f, err := New(Config{Path: writeFile(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ask(id auth.Identity, act auth.Action, topic string) authtest.Request {
	return authtest.Request{Identity: id, Action: act, Topic: topic}
}

func TestContract(t *testing.T) {
	authtest.RunAuthorizer(t, authtest.Authorizer{
		New: func(t *testing.T) auth.Authorizer { return open(t, sample) },
		Allowed: []authtest.Request{
			ask(alice, auth.Publish, "a/b"),
			ask(alice, auth.Receive, "a/b"),
			ask(alice, auth.Subscribe, "a/b"),
			ask(alice, auth.Publish, "in/words of alice"),
			ask(alice, auth.Publish, "home/door"),
			ask(alice, auth.Publish, "home"),
			ask(alice, auth.Receive, "home/safe/x"),
			ask(alice, auth.Subscribe, "home/+"),
			ask(alice, auth.Subscribe, "#"),
			ask(alice, auth.Subscribe, "+/#"),
			ask(alice, auth.Subscribe, "$SYS/broker/+"),
			ask(alice, auth.Subscribe, "$share/g/home/#"),
			ask(alice, auth.Receive, "$SYS/broker/uptime"),
			ask(alice, auth.Receive, "down/c1/x"),
			ask(alice, auth.Publish, "up/alice/c1"),
			ask(bob, auth.Publish, "%u/literal"),
			ask(bob, auth.Publish, "up/bob/c2"),
			ask(bob, auth.Subscribe, "down/c2/#"),
			ask(bob, auth.Subscribe, "down/c2/+"),
			ask(bob, auth.Receive, "down/c2"),
			ask(bob, auth.Receive, "notice"),
			ask(liar, auth.Receive, "public/x"),
			ask(liar, auth.Subscribe, "public/#"),
			ask(liar, auth.Receive, "down/c3/x"),
			ask(auth.Identity{Name: "eve", ClientID: "c"}, auth.Receive, "notice"),
		},
		Denied: []authtest.Request{
			ask(alice, auth.Publish, "a/x/state"),
			ask(alice, auth.Publish, "other"),
			ask(alice, auth.Publish, ""),
			ask(alice, auth.Publish, "home/safe"),
			ask(alice, auth.Receive, "home/safe"),
			ask(alice, auth.Subscribe, "home/safe"),
			ask(alice, auth.Subscribe, "home/cellar/+/x"),
			ask(alice, auth.Subscribe, "$share/g/home/safe"),
			ask(alice, auth.Subscribe, "$share/g"),
			ask(alice, auth.Receive, "$SYS/broker/secret"),
			ask(alice, auth.Receive, "$CONTROL/x"),
			ask(alice, auth.Subscribe, "$CONTROL/#"),
			ask(alice, auth.Receive, "down/c1/debug"),
			ask(alice, auth.Publish, "up/bob/c1"),
			ask(bob, auth.Publish, "bob/literal"),
			ask(bob, auth.Receive, "down/c1/x"),
			ask(bob, auth.Subscribe, "down/#"),
			ask(bob, auth.Subscribe, "down/+/x"),
			ask(bob, auth.Subscribe, "#"),
			ask(bob, auth.Subscribe, "+/#"),
			ask(bob, auth.Subscribe, "$SYS/#"),
			ask(bob, auth.Publish, "notice"),
			ask(bob, auth.Receive, "public/x"),
			ask(liar, auth.Publish, "a/b"),
			ask(liar, auth.Publish, "up/alice/c3"),
			ask(liar, auth.Publish, "up//c3"),
			ask(liar, auth.Subscribe, "#"),
		},
	})
}

func TestF2_67_SubscribingToEverythingTakesTheRightTo(t *testing.T) {
	f := open(t, "user u\ntopic read a/#\n")
	for _, filter := range []string{"#", "+/#", "+", "+/b", "$SYS/#", "$CONTROL/#", "/#"} {
		if v := f.Authorize(t.Context(), &auth.Identity{Name: "u"}, auth.Subscribe, filter); v != auth.Deny {
			t.Errorf("%q: %v", filter, v)
		}
	}
}

func TestF2_68_69_DeniedTopicWithinAnAllowedFilter(t *testing.T) {
	f := open(t, "user u\ntopic read a/#\ntopic deny a/secret\n")
	id := &auth.Identity{Name: "u", ClientID: "c"}
	for topic, want := range map[string]auth.Verdict{"a/secret": auth.Deny, "a/open": auth.Allow} {
		if v := f.Authorize(t.Context(), id, auth.Receive, topic); v != want {
			t.Errorf("receive %s: %v", topic, v)
		}
	}
	for filter, want := range map[string]auth.Verdict{
		"a/#": auth.Allow, "$share/g/a/#": auth.Allow, "a/+": auth.Allow,
		"a/secret": auth.Deny, "$share/g/a/secret": auth.Deny,
	} {
		if v := f.Authorize(t.Context(), id, auth.Subscribe, filter); v != want {
			t.Errorf("subscribe %s: %v", filter, v)
		}
	}
}

func TestDenyBeatsAllow(t *testing.T) {
	for _, text := range []string{
		"user u\ntopic readwrite #\ntopic deny x",
		"user u\ntopic deny x\ntopic readwrite #",
		"user u\ntopic readwrite x\ntopic deny x",
		"user u\ntopic readwrite x\npattern deny x",
		"pattern deny x\npattern readwrite #",
		"user u\ntopic readwrite x\nuser v\ntopic read x\nuser u\ntopic deny #",
	} {
		f := open(t, text)
		for _, act := range []auth.Action{auth.Publish, auth.Receive, auth.Subscribe} {
			if v := f.Authorize(t.Context(), &auth.Identity{Name: "u"}, act, "x"); v != auth.Deny {
				t.Errorf("%v with %q: %v", act, text, v)
			}
		}
	}
}

func TestF2_73_NamesThatWouldChangeAPattern(t *testing.T) {
	f := open(t, "pattern readwrite c/%c/x\npattern readwrite u/%u/x\npattern readwrite all/#\n"+
		"pattern deny all/c/%c/y\npattern deny all/u/%u/y\n")
	for _, name := range []string{"+", "#", "a/b", "/", "a+", "a#b", "\x00", "a\x00", "x/#", "+/+"} {
		id := &auth.Identity{Name: name, ClientID: name}
		for _, topic := range []string{
			"c/" + name + "/x", "u/" + name + "/x", "c/a/x", "u/a/x", "c/a/b/x", "c//x", "c/%c/x", "u/%u/x",
			"all/c/" + name + "/y", "all/u/" + name + "/y", "all/u/other/y",
		} {
			for _, act := range []auth.Action{auth.Publish, auth.Receive, auth.Subscribe} {
				if v := f.Authorize(t.Context(), id, act, topic); v != auth.Deny {
					t.Errorf("%q: %v of %q: %v", name, act, topic, v)
				}
			}
		}
		if v := f.Authorize(t.Context(), id, auth.Publish, "all/z"); v != auth.Allow {
			t.Errorf("%q: %v of what has no name in it", name, v)
		}
	}
	for _, name := range []string{"%u", "%c", "${username}", "a b", "$SYS", "ü"} { // just names
		id := &auth.Identity{Name: name, ClientID: name}
		if v := f.Authorize(t.Context(), id, auth.Publish, "u/"+name+"/x"); v != auth.Allow {
			t.Errorf("%q: %v", name, v)
		}
		if v := f.Authorize(t.Context(), id, auth.Publish, "u/alice/x"); v != auth.Deny {
			t.Errorf("%q: %v of somebody else's", name, v)
		}
	}
}

func TestDollarNameDoesNotReachDollarTopics(t *testing.T) {
	f := open(t, "pattern readwrite +/%u\npattern readwrite #\n")
	id := &auth.Identity{Name: "broker", ClientID: "c"}
	for _, topic := range []string{"$SYS/broker", "$SYS"} {
		if v := f.Authorize(t.Context(), id, auth.Receive, topic); v != auth.Deny {
			t.Errorf("%s: %v", topic, v)
		}
	}
}

func TestF2_75_OddFilesNeverOpen(t *testing.T) {
	id := &auth.Identity{Name: "u", ClientID: "c"}
	for what, text := range map[string]string{
		"empty": "", "blank": "\n \t\r\n", "comments": "# topic #\n  # topic readwrite #\n", "mark alone": "\ufeff",
		"user alone": "user u\n", "unterminated quote": "user u\ntopic read \"a b\n",
	} {
		f := open(t, text)
		for _, act := range []auth.Action{auth.Publish, auth.Subscribe, auth.Receive} {
			if v := f.Authorize(t.Context(), id, act, "a"); v != auth.Deny {
				t.Errorf("%s: %v: %v", what, act, v)
			}
		}
	}
	for what, text := range map[string]string{
		"CRLF": "user u\r\ntopic read a\r\n", "mark": "\ufeffuser u\ntopic read a", "indented": "  user u  \n\ttopic read a\t\n",
	} {
		if v := open(t, text).Authorize(t.Context(), id, auth.Receive, "a"); v != auth.Allow {
			t.Errorf("%s: %v", what, v)
		}
	}
}

func TestMalformedFileIsAnErrorWithItsLine(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"allow a", "neither topic nor user nor pattern"},
		{"Topic a", "neither topic"},
		{"topicread a", "neither topic"},
		{"user", "no name"},
		{"user a\x00b", "not text"},
		{"user \xff", "not text"},
		{"topic", "is empty"},
		{"topic rw a", "neither read nor write"},
		{"topic READ a", "neither read nor write"},
		{"topic a b", "neither read nor write"},
		{"topic read a#", `"#" must be`},
		{"topic read a/+b", `"+" must be`},
		{"topic read \xff", "UTF-8"},
		{"topic read a\x00", "U+0000"},
		{"topic read " + strings.Repeat("/", 200), "levels"},
		{"topic read $share/g/a", "share name"},
		{"pattern read x-%c", "whole levels"},
		{"pattern read %u%c/a", "whole levels"},
		{"pattern", "is empty"},
	} {
		path := writeFile(t, "user u\n"+c.line+"\ntopic #\n")
		_, err := New(Config{Path: path})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Path != path || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.line, err, c.want)
		}
	}
}

func TestReloadKeepsTheOldSetOnError(t *testing.T) {
	path := writeFile(t, "pattern read a\n")
	f, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	want := func(topic string, want auth.Verdict) {
		t.Helper()
		if v := f.Authorize(t.Context(), &bob, auth.Receive, topic); v != want {
			t.Errorf("%s: %v", topic, v)
		}
	}
	if err := os.WriteFile(path, []byte("pattern read #\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err == nil {
		t.Error("a malformed file was accepted")
	}
	want("a", auth.Allow)
	want("b", auth.Deny)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	want("a", auth.Allow)
	want("b", auth.Deny)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err != nil {
		t.Error(err)
	}
	want("a", auth.Deny)
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil || err.Error() != "path: missing" {
		t.Errorf("%v", err)
	}
	if _, err := New(Config{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if v := open(t, "pattern #").Authorize(t.Context(), nil, auth.Publish, "a"); v != auth.Deny {
		t.Errorf("%v for no identity", v)
	}
}

func TestManyLinesAboutOneTopic(t *testing.T) {
	text := "user u\n"
	for i := range 100 { // more than the usual buffer holds
		text += "topic read " + strings.Join(strings.Split(fmt.Sprintf("%07b", i), ""), "/") + "\n"
		text += "topic read " + strings.NewReplacer("0", "+/", "1", "a/").Replace(fmt.Sprintf("%07b", i)) + "\n"
	}
	f := open(t, text+"topic deny a/#\n")
	if v := f.Authorize(t.Context(), &auth.Identity{Name: "u"}, auth.Receive, "a/a/a/a/a/a/a/"); v != auth.Deny {
		t.Error(v)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	var many strings.Builder
	many.WriteString("user alice\n")
	for i := range 10_000 {
		fmt.Fprintf(&many, "topic readwrite site/%d/device/%d/#\n", i/100, i%100)
	}
	for _, c := range []struct{ name, text, topic string }{
		{"lines=3", "user alice\ntopic read public/#\ntopic write site/7/#\ntopic deny site/7/safe\n", "site/7/device/7/state"},
		{"lines=10k", many.String(), "site/7/device/7/state"},
		{"patterns=3", "pattern write up/%u/#\npattern read down/%c/#\npattern deny down/%c/debug\n", "up/alice/c1/state"},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := open(b, c.text)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if f.Authorize(ctx, &alice, auth.Publish, c.topic) != auth.Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}

func TestEveryMalformedLineIsReported(t *testing.T) {
	path := writeFile(t, "# allow a\n"+strings.Repeat("allow a\n", 2))
	_, err := New(Config{Path: path})
	if err == nil || !strings.HasPrefix(err.Error(), path+":2: ") || !strings.Contains(err.Error(), "\n"+path+":3: ") {
		t.Error(err)
	}
	_, err = New(Config{Path: writeFile(t, strings.Repeat("allow a\n", 1000))})
	if n := strings.Count(err.Error(), "\n"); n != maxProblems || !strings.HasSuffix(err.Error(), ":21: wrong, too, and not read any further") {
		t.Errorf("%d lines of complaints: %v", n, err)
	}
}
