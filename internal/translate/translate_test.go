package translate

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		differs  string // part of a note; "" for an exact translation
	}{
		{`mosquitto_pub -t a/b -m 'hello world'`, `iotctl pub -t a/b -m 'hello world'`, ""},
		{`mosquitto_sub -h h -p 1884 -t '#' -v -C 3 -W 5 -R`, `iotctl sub -h h -p 1884 -t '#' -v -C 3 -W 5 -R`, ""},
		{`mosquitto_sub -t a -D subscribe user-property k 'v w' -x 60`, `iotctl sub -t a -D subscribe user-property k 'v w' -x 60`, ""},
		{`mosquitto_sub -t a -d`, `iotctl sub -t a -d`, "standard error"},
		{`mosquitto_sub -t a --ws`, `iotctl sub -t a --ws -p 1883`, ""},
		{`mosquitto_sub -t a --ws --cafile ca.pem`, `iotctl sub -t a --ws --cafile ca.pem -p 8883`, ""},
		{`mosquitto_pub -L mqtt://me:p%w@h/a/b -m x`, `iotctl pub -L mqtt://me:p%25w@h/a/b -m x`, ""},
		{`mosquitto_sub -L wss://h/a/b`, `iotctl sub -L wss://h:8883 -t a/b`, ""},
		{`mosquitto_sub -t a -o opts`, `iotctl sub -t a`, "profile"},
		{`mosquitto_pub -t a -m x --psk 00 --psk-identity me`, `iotctl pub -t a -m x`, "pre-shared"},
		{`mosquitto_pub -t a -m x --tls-version tlsv1.1`, `iotctl pub -t a -m x`, "tlsv1.3"},
		{`mosquitto_rr -t a -e b -m x`, `iotctl rr -t a -e b -m x`, ""},
		{`mosquitto_sub --version`, `iotctl version`, ""},

		{`mqttx pub -t a -m x`, `iotctl pub -V 5 -t a -m x`, ""},
		{`mqttx pub -t a`, `iotctl pub -V 5 -t a -m 'Hello From MQTTX CLI'`, ""},
		{`mqttx pub -t a -s -M`, `iotctl pub -V 5 -t a -l`, ""},
		{`mqttx pub -t a -lm -V 3.1.1`, `iotctl pub -t a -V 3.1.1 -l`, ""},
		{`mqttx pub -t a -m x -q1 -r -d`, `iotctl pub -V 5 -t a -q 1 -r -m x`, "--dup"[2:] + "|-d"},
		{`mqttx pub -t a -m x -rd`, `iotctl pub -V 5 -t a -r -m x`, "-d"},
		{`mqttx pub -t a -m '{"a":1}' -f cbor`, `iotctl pub -V 5 -t a --payload cbor -m '{"a":1}'`, ""},
		{`mqttx pub -t a -m '{}' -Pp x.proto -Pmn M`, `iotctl pub -V 5 -t a --payload protobuf:x.proto:M -m '{}'`, ""},
		{`mqttx pub -t a -S 1KB`, `head -c 1024 /dev/urandom | iotctl pub -V 5 -t a -s`, ""},
		{`mqttx pub -t a -m x -l wss -h h -wh 'A: b' 'C: d'`, `iotctl pub -V 5 -t a -h h --ws-header 'A: b' --ws-header 'C: d' --ws --tls -p 1883 -m x`, ""},
		{`mqttx pub -t a -m x -l mqtts --ca ca.pem -p 8883 --alpn mqtt`, `iotctl pub -V 5 -t a --cafile ca.pem -p 8883 --tls-alpn mqtt -m x`, ""},
		{`mqttx pub -t a -m x -rp 0`, `iotctl pub -V 5 -t a --reconnect never -m x`, ""},
		{`mqttx pub -t a -m x --will-topic w -Wd 5 -Wup 'k: v'`, `iotctl pub -V 5 -t a --will-topic w -D will will-delay-interval 5 -D will user-property k v -m x`, ""},
		{`mqttx sub -t a b -q 0 2`, `iotctl sub -V 5 -t a -t b -q 2`, "highest"},
		{`mqttx sub -t a -q 1 1 -rh 2 -rap`, `iotctl sub -V 5 -t a -q 1 --retain-handling never --retain-as-published`, ""},
		{`mqttx sub -t a --file-write out.txt`, `iotctl sub -V 5 -t a >> out.txt`, ""},
		{`mqttx sub -t a --output-mode clean`, `iotctl sub -V 5 -t a -o json`, "other names"},
		{`mqttx conn -h h -u me`, `iotctl doctor -V 5 -h h -u me --only connect`, "stays connected"},
		{`mqttx bench pub -t a/%i -c 10 -im 100 -L 50`, `iotctl bench pub -V 5 -t a/%i -c 10 -I 100 -L 50 -i 10`, ""},
		{`mqttx bench conn`, `iotctl bench conn -V 5 -c 1000 -i 10`, "--duration"},
		{`mqttx simulate -sc tesla -c 1 -L 5`, `iotctl bench pub -V 5 -c 1 -L 5 -i 10 -I 1000 -t mqttx/simulate/simulate/%c`, "payloads"},

		{`emqtt_bench pub -t b/%i -L 10`, `iotctl bench pub -t b/%i -L 10 -V 5 -c 200 -i 10 -I 1000 -s 256 -F 1`, ""},
		{`emqtt_bench sub -c 5 -t b -V 4 -S --cacertfile ca.pem -p 8883 -L5`, ``, "error"},
		{`emqtt_bench sub -c 5 -t b -V 4 --ssl=true --cacertfile ca.pem -p 8883`, `iotctl bench sub -c 5 -t b -V 311 --cafile ca.pem -p 8883 --tls --insecure -i 10`, "--duration"},
		{`emqtt_bench conn -c 5 -R 100 -C false`, `iotctl bench conn -c 5 -R 100 -C false -V 5`, "--duration"},
		{`emqtt_bench pub -t t/%rand_5 -L 1 -F 0 -C true --quic true`, `iotctl bench pub -t t/%rand_5 -L 1 -F 65535 -C true -V 5 -c 200 -i 10 -I 1000 -s 256`, "QUIC"},

		{`mqtt pub -t a -m x`, `iotctl pub -t a -V 5 -m x`, ""},
		{`mqtt publish -V=3 --topic=a -m:empty -r`, `iotctl pub -t a -V 311 -n -r`, ""},
		{`mqtt pub -t a -t b -q 1 -q 2 -m x`, `iotctl pub -t a -q 1 -V 5 -m x && iotctl pub -t b -q 2 -V 5 -m x`, ""},
		{`mqtt pub -t a -m x -pw -u me`, `iotctl pub -t a -V 5 -m x --ask-password -u me`, ""},
		{`mqtt pub -t a -m x -u me -pw:env`, `IOTCTL_PASSWORD="$MQTT_CLI_PW" iotctl pub -t a -V 5 -m x -u me`, ""},
		{`mqtt sub -t a -T -s`, `iotctl sub -V 5 -t a -F '%t: %p' --tls -p 1883 -q 2`, ""},
		{`mqtt sub -t a -q 1 --output-to-file f -no-oc`, `iotctl sub -V 5 -t a -q 1 >> f`, ""},
		{`mqtt sub -t a --ks store.jks`, `iotctl sub -V 5 -t a -q 2`, "key stores"},
		{`mqtt sub -t a -T -J -q 1`, `iotctl sub -V 5 -t a -o json -q 1`, "other names"},
		{`mqtt sub -t a -ip p -i me -q 1`, `iotctl sub -V 5 -t a -i me -q 1`, ""},
		{`mqtt test -h h -a -V 5`, `iotctl doctor -h h -V 5`, ""},
		{`mqtt test -h h -t 5 -q 3`, `iotctl doctor -h h --check-timeout 5 --tries 3`, ""},

		// What a shell does stays.
		{`mosquitto_sub -t "$T/#" | jq .a`, `iotctl sub -t "$T/#" | jq .a`, ""},
		{`for i in 1 2; do mosquitto_pub -t a -m "$i"; done`, `for i in 1 2; do iotctl pub -t a -m "$i"; done`, ""},
		{`echo mosquitto_pub -t a`, `echo mosquitto_pub -t a`, "nothing"},
		{`X=1 sudo -u me mosquitto_pub -t a -s < file 2>&1`, `X=1 sudo -u me iotctl pub -t a -s < file 2>&1`, ""},
		{"mosquitto_pub \\\n  -t a \\\n  -m x # comment", `iotctl pub -t a -m x # comment`, ""},
		{"# all\nmosquitto_pub -t a -n\nls -l\nmosquitto_sub -t b &", "# all\niotctl pub -t a -n\nls -l\niotctl sub -t b &", ""},
		{`docker run --rm -it eclipse-mosquitto:2 mosquitto_sub -t a`, `iotctl sub -t a`, ""},
		{`docker run hivemq/mqtt-cli sub -t a -q 0`, `iotctl sub -V 5 -t a -q 0`, ""},
		{`kubectl exec -it pod -- mosquitto_sub -t a`, `iotctl sub -t a`, ""},
		{`npx mqttx-cli sub -t a`, `iotctl sub -V 5 -t a`, ""},
	} {
		r, err := Line(tt.in)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: no error, but %s", tt.in, r.Line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, r.Line); diff != "" {
			t.Errorf("%s\n%s", tt.in, diff)
		}
		switch {
		case tt.differs == "nothing":
			if r.Found {
				t.Errorf("%s: found something", tt.in)
			}
		case r.Exact() != (tt.differs == ""):
			t.Errorf("%s: exact %v, notes %v", tt.in, r.Exact(), r.Notes)
		case tt.differs != "":
			if !slices.ContainsFunc(r.Notes, func(n Note) bool {
				return !n.Advice && slices.ContainsFunc(strings.Split(tt.differs, "|"), func(s string) bool { return strings.Contains(n.Text, s) })
			}) {
				t.Errorf("%s: no %q in %v", tt.in, tt.differs, r.Notes)
			}
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for in, want := range map[string]string{
		`mosquitto_pub -t a --mesage x`:  "mosquitto_pub: it has no option --mesage; did you mean --message?",
		`mosquitto_pub -t`:               "mosquitto_pub: -t needs a value; ",
		`mosquitto_pub a`:                `mosquitto_pub: "a" is not an option, and nothing else is expected; `,
		`mqttx`:                          "mqttx: a sub-command is missing; ",
		`mqtt shell`:                     `mqtt: there is nothing like "shell" here; iotctl sub and iotctl pub in two terminals`,
		`mosquitto_pub -t 'a`:            "a quotation mark or a bracket is not closed",
		"mosquitto_pub -l <<END\nx\nEND": "here documents (<<) are not understood",
	} {
		_, err := Line(in)
		got := ""
		if bad := (*Error)(nil); errors.As(err, &bad) {
			got = bad.Error() + "; " + bad.Hint
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	if _, err := Words([]string{"ls", "-l"}); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

func TestAPasswordStaysAndASaferWayIsNamed(t *testing.T) {
	for _, in := range []string{
		`mosquitto_pub -t a -n -u me -P secret`, `mqttx pub -t a -P secret`, `emqtt_bench conn -P secret`,
		`mqtt pub -t a -m x -pw secret`, `mosquitto_sub -L mqtt://me:secret@h/a`,
	} {
		r, err := Line(in)
		if err != nil || !strings.Contains(r.Line, "secret") || !slices.ContainsFunc(r.Notes, func(n Note) bool {
			return n.Advice && strings.Contains(n.Text, "--password-file") && !strings.Contains(n.Text, "secret")
		}) {
			t.Errorf("%s: %s %v %v", in, r.Line, r.Notes, err)
		}
	}
}

// What is written is what a real shell reads.
func TestAShellReadsWhatIsWritten(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	for _, s := range []string{"", "a b", "it's", `"`, `\`, "$HOME", "`ls`", "#", "*", "~", "a\nb", "é", "-n", "!x", "a;b|c&d", "{1,2}", "=x"} {
		r, err := Words([]string{"mosquitto_pub", "-t", "t", "-m", s})
		if err != nil {
			t.Error(err)
			continue
		}
		out, err := exec.Command(sh, "-c", `iotctl() { printf '%s.' "$5"; }; `+r.Line).Output()
		if err != nil || string(out) != s+"." {
			t.Errorf("%q: %s gives %q, %v", s, r.Line, out, err)
		}
	}
	r, err := Line(`mosquitto_pub -t "a/$X b" -m "\$Y${X}\"$(printf '%s' "q r")"`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(sh, "-c", `X=7; iotctl() { printf '%s|' "$@"; }; `+r.Line).Output()
	if want := `pub|-t|a/7 b|-m|$Y7"q r|`; err != nil || string(out) != want {
		t.Errorf("%s gives %q, %v", r.Line, out, err)
	}
}

func TestNoSpellingIsTwiceInATable(t *testing.T) {
	for _, tool := range tools() {
		seen := map[string]bool{}
		for _, r := range tool.rows {
			for n := range strings.FieldsSeq(r.names) {
				if seen[n] {
					t.Errorf("%s: %s", tool.name, n)
				}
				seen[n] = true
			}
		}
	}
}

func TestForeign(t *testing.T) {
	for _, tt := range []struct{ command, word, want string }{
		{"pub", "--hostname", "--hostname of mqttx is -h VALUE here"},
		{"pub", "--no-clean", "--no-clean of mqttx is -c here"},
		{"sub", "-up", "-up of mqttx is -D subscribe user-property NAME VALUE here"},
		{"sub", "--show-topics", "--show-topics of mqtt is -F %t: %p here"},
		{"bench", "--ssl-version", "--ssl-version of emqtt_bench is --tls-version tlsv1.2 here"},
		{"bench pub", "--quic=true", "--quic of emqtt_bench: there is no QUIC here"},
		{"pub", "--nothing", ""},
	} {
		if got := strings.Join(Foreign(tt.command, tt.word), "; "); got != tt.want {
			t.Errorf("%s %s: %q", tt.command, tt.word, got)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{
		`mosquitto_sub -h h -t "a/$X" -D publish user-property a b | cat > f`, `mqttx pub -t a -up 'a: b' 'c: d' -rq1`,
		`emqtt_bench pub -t %i --ssl=true -C false`, `mqtt pub -t a -t b -pw -m:file=x`, "docker run x/mqtt-cli:1 pub -t a -m $'\\n'", `mosquitto_pub -abc`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := Line(line)
		if err != nil || !r.Found {
			return
		}
		if _, err := lex(r.Line); err != nil {
			t.Errorf("%q gives %q: %v", line, r.Line, err)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add("it's")
	f.Add("a $b `c`")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, string(opens)+string(closes)) {
			return
		}
		tokens, err := lex(Quote(s))
		if err != nil || len(tokens) != 1 || tokens[0].text != s {
			t.Errorf("%q: %q %v %v", s, Quote(s), tokens, err)
		}
	})
}
