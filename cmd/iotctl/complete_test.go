//go:build unix

package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// completed is what `iotctl __complete` prints, without descriptions.
func completed(t *testing.T, words ...string) []string {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(foldCompletion(append([]string{"__complete"}, words...)))
	if err := root.Execute(); err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	var all []string
	for line := range strings.Lines(out.String()) {
		word, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !strings.HasPrefix(word, ":") {
			all = append(all, word)
		}
	}
	return all
}

// Nobody is offered a value that the option refuses.
func TestWhatIsOfferedIsAccepted(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for i := range programNames {
		p := program(1 << i)
		for _, o := range optionsFor(p, false) {
			for _, v := range o.choices() {
				if err := o.set(newSettings(p, false), v); err != nil {
					t.Errorf("%s --%s %s: %v", p, o.long, v, err)
				}
			}
		}
	}
	for _, c := range propertyCommands {
		for _, name := range completed(t, "pub", "-D", c.name, "") {
			if name == "user-property" {
				continue
			}
			values := append(completed(t, "pub", "-D", c.name, name, ""), "1")
			if err := newSettings(progPub, false).setProperty([]string{c.name, name, values[0]}); err != nil {
				t.Errorf("-D %s %s %s: %v", c.name, name, values[0], err)
			}
		}
	}
}

// Shells put what several words begin with into the line as it is, and run what stands
// there for the next word.
func TestNothingIsOfferedThatAShellWouldRun(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	name := historyOf(t)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	lines := "b:1\tgrün/+/#\nb:1\t$share/g/a\n"
	for _, topic := range []string{
		"$SYS/$(id)1", "$SYS/$(id)2", "$SYS/`id`", "$SYS/x --password-command id", "$SYS/${IFS}", "$SYS/a;id", "$SYS/a|id",
		"$SYS/a&", "$SYS/<a", "$SYS/a>b", "$SYS/*", "$SYS/a'b", `$SYS/a"b`, `$SYS/a\b`, "$SYS/\x1b]0;x\a", "$SYS/\u202ea",
		"-x", "~/a", "{a,b}", "!1", "$SYS/" + strings.Repeat("a", 600),
	} {
		lines += "b:1\t" + topic + "\n"
	}
	if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := completed(t, "sub", "-t", ""); !slices.Equal(got, []string{"$share/g/a", "grün/+/#"}) {
		t.Errorf("%q", got)
	}
}

func TestABrokerThatSaysNothingIsNotWaitedForLong(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0") // it never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	done := make(chan []string, 1)
	go func() { done <- completed(t, "sub", "-h", "127.0.0.1", "-p", port, "-t", "$SYS/") }()
	select {
	case topics := <-done:
		if len(topics) > 0 {
			t.Error(topics)
		}
	case <-time.After(panePatience):
		t.Fatal("the shell still waits")
	}
}

func TestBashCompletes(t *testing.T) {
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		missingTool(t, "bash-completion")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		missingTool(t, "bash")
	}
	bothClients(t) // mosquitto's are among them
	dir := t.TempDir()
	port := startServe(t)
	p := newPane(t, 100, 40, "XDG_CONFIG_HOME="+dir, "XDG_STATE_HOME="+dir)
	p.run("exec env PS1='" + prompt + "' bash --norc --noprofile -i")
	p.shows(prompt)
	p.run("source " + library + "; source <(iotctl completion bash); clear; echo source''d")
	p.shows("sourced")
	p.run("iotctl profile add plant mqtt://127.0.0.1:" + port + " && iotctl pub --profile plant -t line4/temperature -m 1 && echo publish''ed")
	p.shows("published")
	for _, c := range []struct{ typed, want string }{
		{"iotctl sub --profile pl", "iotctl sub --profile plant"},
		{"iotctl pub -D publish con", "iotctl pub -D publish content-type"},
		{"iotctl sub --payload line4=gz", "iotctl sub --payload line4=gzip"},
		{"iotctl sub -t lin", "iotctl sub -t line4/temperature"},
		{`iotctl sub --profile plant -t \$SYS/broker/upt`, `iotctl sub --profile plant -t \$SYS/broker/uptime`},
		{"iotctl profile sh", "iotctl profile show"},
	} {
		p.typed(c.typed)
		p.shows(c.typed)
		last := time.Now()
		p.press("Tab")
		p.until(c.want, func(screen string) bool {
			if strings.Contains(screen, c.want) {
				return true
			}
			if time.Since(last) > 3*time.Second { // nobody waits long for a broker: a machine that is busy is asked again
				p.press("Tab")
				last = time.Now()
			}
			return false
		})
		p.press("C-u")
		p.until("empty line", func(screen string) bool {
			return strings.HasSuffix(strings.TrimRight(screen, "\n"), strings.TrimSpace(prompt))
		})
	}
	// Who typed it has it in the history; nobody else can read that.
	name := filepath.Join(dir, "iotctl", "topics")
	text, err := os.ReadFile(name)
	if want := "127.0.0.1:" + port + "\tline4/temperature\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	p.run("clear; mosquitto_pub -p " + port + " -t of/mosquitto -m 1; IOTCTL_HISTORY=off iotctl pub --profile plant -t no/trace -m 1; echo don''e")
	p.shows("done")
	if again, _ := os.ReadFile(name); !slices.Equal(again, text) {
		t.Errorf("%q", again)
	}
}
