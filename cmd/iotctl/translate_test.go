package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/profile"
	"github.com/iotctl/iotctl/internal/translate"
)

// samples are values that options of other tools take, by a spelling; others
// take a 5.
var samples = map[string]string{
	"--host": "localhost", "--hostname": "localhost", "--qos": "1", "--will-qos": "1", "--willQualityOfService": "1",
	"--url": "mqtt://localhost/a", "--proxy": "socks5h://localhost", "--ifaddr": "127.0.0.1",
	"--keepalive": "60", "--keepAlive": "60", "--retain-handling": "always", "--keyform": "pem", "--tls-version": "tlsv1.2", "--ssl-version": "tlsv1.2",
	"--ws-headers": "name: value", "--user-properties": "name: value", "--conn-user-properties": "name: value", "--will-user-properties": "name: value",
	"--userProperty": "name=value", "--user-property": "name=value", "--connectUserProperty": "name=value", "--willUserProperty": "name=value",
	"--payload-hdrs": "cnt64", "--clean": "true", "--ciphers": "ECDHE-RSA-AES128-GCM-SHA256", "--payloadFormatIndicator": "UTF_8", "--willPayloadFormatIndicator": "UTF_8",
	"--restapi": "8080", "--protocol": "mqtt", "--format": "json", "--output-mode": "clean", "--payload-size": "1KB", "--scenario": "tesla",
	"--property": "connect receive-maximum 5",
}

// least is what a tool needs, so that the translation is a whole command.
var least = map[string]string{
	"mosquitto_pub": "-t a", "mosquitto_sub": "-t a", "mosquitto_rr": "-t a -e b",
	"mqttx pub": "-t a", "mqttx sub": "-t a", "mqttx bench pub": "-t a", "mqttx bench sub": "-t a",
	"emqtt_bench pub": "-t a", "emqtt_bench sub": "-t a",
	"mqtt pub": "-t a", "mqtt sub": "-t a",
}

// sends is a message, for tools that have none of their own.
var sends = map[string]string{"mosquitto_pub": "-n", "mosquitto_rr": "-n", "mqtt pub": "-m x"}

// beside is what an option needs another one for.
var beside = map[string]string{
	"--cert": "--key k", "--key": "--cert c", "--keyform": "--cert c --key k", "--client-cert": "--key k", "--client-private-key": "--cert c",
	"--certfile": "--keyfile k", "--keyfile": "--certfile c",
	"--will-payload": "--will-topic w", "--will-retain": "--will-topic w", "--disable-clean-session": "-i me",
	"--tls-engine-kpass-sha1": "--cert c --key k --keyform pem --tls-engine e", "--retain-as-published": "-V 5", "--retain-handling": "-V 5",
	"--will-message": "--will-topic w", "--willMessage": "--willTopic w", "--willRetain": "--willTopic w",
}

func TestEveryTranslationCanBeTyped(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	schema, proto := filepath.Join(dir, "a.avsc"), filepath.Join(dir, "a.proto")
	if err := errors.Join(
		os.WriteFile(schema, []byte(`"string"`), 0o600),
		os.WriteFile(proto, []byte("syntax = \"proto3\";\nmessage M { int32 a = 1; }\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	checkTranslation(t, "mqttx pub -t a -Pp "+proto+" -Pmn M")
	checkTranslation(t, "mqttx sub -t a -Pmn M --protobuf-path "+proto)
	for _, tool := range translate.Tools() {
		for _, o := range tool.Options {
			long := o.Names[len(o.Names)-1]
			for _, name := range o.Names {
				if len(name) > 2 && (samples[name] != "" || beside[name] != "") {
					long = name
				}
			}
			for _, name := range o.Names {
				lines := []string{}
				if !o.Value {
					lines = append(lines, name)
				}
				if o.Value || o.Maybe {
					v := samples[long]
					if long == "--avsc-path" {
						v = schema
					}
					if strings.HasPrefix(tool.Name, "mosquitto") && v == "" {
						v = map[string]string{"-A": "127.0.0.1", "-F": "%t"}[name]
					}
					switch {
					case v == "" && o.Maybe && !o.Value:
						v = "true"
					case v == "":
						v = "5"
					}
					if !strings.HasPrefix(v, "connect ") {
						v = translate.Quote(v)
					}
					lines = append(lines, name+" "+v)
				}
				for _, l := range lines {
					line := tool.Name + " " + least[tool.Name] + " " + l
					if with := beside[long]; with != "" && knows(tool, with) {
						line += " " + with
					}
					if what := sends[tool.Name]; what != "" && !strings.Contains(" -m -f -s -l -n --message --file --stdin-file --stdin-line --null-message -m:empty --message-empty -m:file --message-file ", " "+name+" ") {
						line += " " + what
					}
					checkTranslation(t, line)
				}
			}
		}
	}
}

// Examples stand in help and man pages to be copied: those of clients, wherever
// they are, can be read.
func TestExamplesOfClientsCanBeTyped(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	seen := 0
	all := newRoot().Commands()
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	for _, cmd := range all {
		for line := range strings.Lines(cmd.Example) {
			for part := range strings.SplitSeq(strings.TrimSpace(line), " | ") {
				words, err := profile.Split(part)
				if err != nil {
					continue // one of its quotes is behind another bar
				}
				if at := slices.IndexFunc(words, func(w string) bool { return w == "<" || w == ">" || w == "&&" }); at >= 0 {
					words = words[:at]
				}
				if words = clientWords(words); words == nil || slices.Contains(words, "--profile") {
					continue
				}
				seen++
				if err := readAsTyped(words); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %s%v", cmd.CommandPath(), line, err)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d examples", seen)
	}
}

// clientWords is a command line of a client without iotctl, its name being one word;
// nil if it is of another command.
func clientWords(words []string) []string {
	if len(words) < 2 || words[0] != "iotctl" {
		return nil
	}
	for n := min(3, len(words)); n > 1; n-- {
		name := strings.Join(words[1:n], " ")
		if _, ok := programOf(name); ok {
			return append([]string{name}, words[n:]...)
		}
	}
	return nil
}

func knows(tool translate.Tool, options string) bool {
	first, _, _ := strings.Cut(options, " ")
	for _, o := range tool.Options {
		for _, n := range o.Names {
			if n == first {
				return true
			}
		}
	}
	return false
}

// checkTranslation reads what comes out with the options of this program.
func checkTranslation(t *testing.T, line string) {
	t.Helper()
	r, err := translate.Line(line)
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	words, err := profile.Split(r.Line)
	if err != nil {
		t.Errorf("%s: %s: %v", line, r.Line, err)
		return
	}
	for len(words) > 0 && words[0] != "iotctl" { // head -c … |, NAME=value
		words = words[1:]
	}
	for i, w := range words {
		if w == ">>" || w == "|" || w == "&&" {
			words = words[:i]
			break
		}
	}
	if err := readAsTyped(words[1:]); err != nil {
		t.Errorf("%s\n%s\n%v", line, r.Line, err)
	}
}

// readAsTyped checks a command line as far as that goes without running it.
func readAsTyped(words []string) error {
	for _, w := range words {
		if w == "--help" || w == "version" {
			return nil
		}
	}
	if words[0] == "bench" {
		var o benchOptions
		cmd := &cobra.Command{}
		o.register(cmd)
		if err := cmd.ParseFlags(words[2:]); err != nil {
			return err
		}
		if rest := cmd.Flags().Args(); len(rest) > 0 {
			return errors.New("left over: " + rest[0])
		}
		if _, err := benchSettings(o.given, ""); err != nil {
			return err
		}
		return o.complete()
	}
	p, ok := programOf(words[0])
	if !ok {
		return errors.New("no such command")
	}
	cmd := clientCommand(p, &cobra.Command{Use: words[0], Args: cobra.ArbitraryArgs}, func(context.Context, *settings, *terminal) error { return nil })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	folded := foldProperties(slices.Concat(strings.Fields(words[0]), words[1:]))
	cmd.SetArgs(folded[len(strings.Fields(words[0])):])
	cmd.SetOut(new(bytes.Buffer))
	return cmd.Execute()
}
