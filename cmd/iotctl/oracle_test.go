package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOracle compares the program, called by the names of mosquitto's clients,
// with those clients: what they print, how they end, what they send. Clocks
// are the only difference allowed.
func TestOracle(t *testing.T) {
	theirs, ours := bothClients(t)
	port := startBroker(t)
	o := &oracle{theirs: theirs, ours: ours, port: port}
	for _, part := range []struct {
		name string
		run  func(*oracle, *testing.T)
	}{
		{"01 every part of -F", (*oracle).formats},
		{"02 output modes by payload", (*oracle).outputModes},
		{"03 exit codes of -C -W -E -R -T", (*oracle).exitCodes},
		{"04 lines of standard input", (*oracle).lines},
		{"05 -s and -f", (*oracle).wholeInput},
		{"06 refused connections", (*oracle).refusals},
		{"07 the matrix of -D", (*oracle).properties},
		{"08 defaults files", (*oracle).defaultsFiles},
		{"09 the will", (*oracle).wills},
		{"10 clearing retained messages", (*oracle).clearing},
		{"11 what CONNECT says", (*oracle).connects},
		{"12 what SUBSCRIBE says", (*oracle).subscribes},
		{"responses", (*oracle).responses},
		{"usage errors", (*oracle).usage},
		{"debug output", (*oracle).debug},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(o, t)
		})
	}
}

type oracle struct {
	theirs, ours clients
	port         string
}

// same runs what both are to do and compares the outcomes.
func (o *oracle) same(t *testing.T, do func(c clients) outcome) {
	t.Helper()
	want, got := do(o.theirs), do(o.ours)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-%s +%s\n%s", o.theirs.name, o.ours.name, diff)
	}
}

// at adds where the broker is.
func (o *oracle) at(args ...string) []string {
	return append([]string{"-h", "127.0.0.1", "-p", o.port}, args...)
}

// retain publishes with mosquitto's own client and lets the broker keep it.
func (o *oracle) retain(t *testing.T, topic, payload string, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	out := o.theirs.run(t, "", "pub", o.at(append([]string{"-q", "2", "-r", "-t", topic, "-f", file}, args...)...)...)
	if out.Code != 0 {
		t.Fatalf("publish: %+v", out)
	}
}

var allProperties = []string{
	"-V", "5", "-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "c0rr", "-D", "publish", "user-property", "a", "b c",
	"-D", "publish", "response-topic", "r/t", "-D", "publish", "user-property", "a", "d", "-D", "publish", "payload-format-indicator", "1",
}

func (o *oracle) formats(t *testing.T) {
	const text = `{"a":[1,2,{"b":1.0}],"n":12345678901234567890,"s":"é\u00e9\/\u0001\"","e":{},"f":[],"t":true,"z":null,"x":1e3,"y":0.1,"w":-1.5e-7,"v":123456789.125}`
	payloads := map[string]string{
		"text": "ABCDEF", "json": text, "number": "1.10", "string": `"x"`, "array": "[1,[2,{}],{\"a\":[]}]",
		"nested": "[[[1]],{\"k\":{\"l\":{}}}]", "noutf8": "a\xff\xfeb", "binary": "\x01\x02\x7f\x80\xff\n\t", "quote": "\"\\/\b\f\r",
		"nul": "\x00\x01ab", "nulwithin": "ab\x00cd", "notjson": "{", "empty json": " [ ] ",
	}
	var formats []string
	for _, part := range strings.Split("A C D E F P R S X j J l m p q r t x", " ") {
		for _, fit := range []string{"", "3", "30", "-30", "030", "-030", ".2", "12.3", "-12.3"} {
			formats = append(formats, "%"+fit+part)
		}
	}
	formats = append(formats, "%%", "@@", `a\\b\a\e\n\r\t\vc`, `\0`, "%t %p", "[%t] @@%% %l", "%5%", "plain")
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := "formats/" + name
			o.retain(t, topic, payload, append([]string{"-D", "publish", "message-expiry-interval", "2000000000"}, allProperties...)...)
			mask := func(s string) string {
				return regexp.MustCompile(`"tst":(\t?)"[^"]*"`).ReplaceAllString(regexp.MustCompile(`(1999\d{6}|2000000000)`).ReplaceAllString(s, "EXPIRY"), `"tst":$1"TIME"`)
			}
			// All formats in one run; | shows where each ends. Formats that a
			// payload can make fail are compared on their own.
			var safe []string
			for _, f := range formats {
				if !strings.Contains(f, "J") {
					safe = append(safe, f)
				}
			}
			for _, f := range []string{strings.Join(safe, `|\n`), "%J", "x%Jy"} {
				for _, pretty := range []bool{false, true} {
					args := o.at("-t", topic, "-C", "1", "-W", "10", "-V", "5", "-q", "1", "-F", f, "-D", "subscribe", "subscription-identifier", "77")
					if pretty {
						args = append(args, "--pretty")
					}
					o.same(t, func(c clients) outcome {
						out := c.run(t, "", "sub", args...)
						out.Stdout = mask(out.Stdout)
						return out
					})
				}
			}
		})
	}
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		o.retain(t, "formats/time", "x")
		var conversions []string
		for _, c := range "aAbBcCdDeFgGhHIjklmMnNpPrRsStTuUVwWxXyYzZqf" {
			conversions = append(conversions, "@"+string(c))
		}
		f := strings.Join(append(conversions, "%I", "%30I", "%-30I|", "%.4I", "%U", "%30U", "%-30U|", "%.3U"), `|\n`)
		for _, zone := range []string{"UTC", "America/St_Johns", "Asia/Kathmandu"} {
			digits := regexp.MustCompile(`\d`)
			o.same(t, func(c clients) outcome {
				c.env = append(slices.Clone(c.env), "TZ="+zone)
				out := c.run(t, "", "sub", o.at("-t", "formats/time", "-C", "1", "-W", "10", "-F", f)...)
				// Blanks pad numbers of one digit; which those are, the clock decides.
				out.Stdout = strings.ReplaceAll(digits.ReplaceAllString(out.Stdout, "9"), " 9", "99")
				return out
			})
		}
	})
}

// stored prepares a session at the broker, publishes, and returns what each
// client makes of it: messages wait, so that nothing depends on timing.
func (o *oracle) stored(t *testing.T, name, topic string, publish func(), args ...string) {
	t.Helper()
	o.same(t, func(c clients) outcome {
		id := "stored-" + c.name + "-" + name
		if out := c.run(t, "", "sub", o.at("-c", "-i", id, "-q", "1", "-t", topic, "-E")...); out.Code != 0 {
			t.Fatalf("%s: prepare: %+v", c.name, out)
		}
		publish()
		return c.run(t, "", "sub", append(o.at("-c", "-i", id, "-q", "1", "-t", topic), args...)...)
	})
}

func (o *oracle) outputModes(t *testing.T) {
	for i, mode := range [][]string{{}, {"-v"}, {"-N"}, {"-v", "-N"}, {"-F", "%t:%p"}, {"-N", "-F", "%p"}} {
		t.Run(strings.Join(mode, " "), func(t *testing.T) {
			t.Parallel()
			topic := fmt.Sprintf("modes/%d", i)
			o.stored(t, fmt.Sprintf("mode%d", i), topic, func() {
				for _, payload := range []string{"text", "", "\x01\xff", "two\nlines", "", "end"} {
					o.theirs.run(t, payload, "pub", o.at("-q", "1", "-t", topic, modeFlag(payload))...)
				}
			}, append(mode, "-C", "6", "-W", "10")...)
		})
	}
}

func modeFlag(payload string) string {
	if payload == "" {
		return "-n"
	}
	return "-s"
}

func (o *oracle) exitCodes(t *testing.T) {
	o.retain(t, "codes/a", "1")
	o.retain(t, "codes/b", "2")
	for i, args := range [][]string{
		{"-C", "2"},
		{"-C", "1"},
		{"-C", "3", "-W", "1"},
		{"-W", "1"},
		{"-E"},
		{"-R", "-W", "1"},
		{"-R", "-W", "1", "-V", "5"},
		{"-T", "codes/a", "-C", "1"},
		{"-T", "codes/+", "-W", "1", "-v"},
		{"--retained-only", "-W", "1", "-v"},
		{"--retained-only", "-R"},
		{"-U", "codes/b", "-C", "2"},
		{"-C", "1", "-t", "codes/other", "-V", "5"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			o.same(t, func(c clients) outcome {
				return c.run(t, "", "sub", o.at(append([]string{"-i", fmt.Sprintf("codes-%s-%d", c.name, i), "-t", "codes/+"}, args...)...)...)
			})
		})
	}
	t.Run("nothing listens", func(t *testing.T) {
		t.Parallel()
		unused := freePort(t)
		for _, program := range []string{"pub", "sub", "rr"} {
			o.same(t, func(c clients) outcome {
				return c.run(t, "", program, append([]string{"-h", "127.0.0.1", "-p", unused, "-t", "a"}, payloadArgs(program)...)...)
			})
		}
	})
	t.Run("no such host", func(t *testing.T) {
		t.Parallel()
		for _, program := range []string{"pub", "sub", "rr"} {
			o.same(t, func(c clients) outcome {
				return c.run(t, "", program, append([]string{"-h", "nosuchhost.invalid", "-t", "a"}, payloadArgs(program)...)...)
			})
		}
	})
	for _, version := range []string{"311", "5"} {
		t.Run("SIGTERM "+version, func(t *testing.T) {
			t.Parallel()
			o.same(t, func(c clients) outcome {
				p := c.start(t, "", "sub", o.at("-V", version, "-t", "codes/a")...)
				p.out.until(t, "1")
				_ = p.cmd.Process.Signal(syscall.SIGTERM)
				return p.wait(t)
			})
		})
	}
}

// payloadArgs is what a program needs beside a topic.
func payloadArgs(program string) []string {
	switch program {
	case "pub":
		return []string{"-m", "x"}
	case "rr":
		return []string{"-m", "x", "-e", "answer"}
	}
	return nil
}

// published compares what a subscriber hears of a run of pub.
func (o *oracle) published(t *testing.T, name, stdin string, args ...string) {
	t.Helper()
	o.same(t, func(c clients) outcome {
		topic, id := "published/"+c.name+"/"+name, "published-"+c.name+"-"+name
		if out := o.theirs.run(t, "", "sub", o.at("-c", "-i", id, "-q", "1", "-t", topic, "-E")...); out.Code != 0 {
			t.Fatalf("prepare: %+v", out)
		}
		out := c.run(t, stdin, "pub", o.at(append([]string{"-q", "1", "-t", topic}, args...)...)...)
		o.theirs.run(t, "", "pub", o.at("-q", "1", "-t", topic, "-m", "THE END")...)
		reader := o.theirs.start(t, "", "sub", o.at("-c", "-i", id, "-q", "1", "-t", topic, "-F", "%r %q %l %x.")...)
		reader.out.until(t, " 54484520454e44.")
		_ = reader.cmd.Process.Signal(syscall.SIGTERM)
		heard := reader.wait(t)
		out.Stdout += heard.Stdout
		return out
	})
}

func (o *oracle) lines(t *testing.T) {
	for name, input := range map[string]string{
		"no final newline": "one\ntwo",
		"CRLF":             "one\r\ntwo\r\n",
		"empty lines":      "\none\n\n\ntwo\n\n",
		"nothing":          "",
		"only a newline":   "\n",
		"1 MB line":        strings.Repeat("0123456789", 100_000)[:999_999] + "\nend\n",
		"bytes":            "\x01\xff\xfe\n\x80\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.published(t, strings.ReplaceAll(name, " ", ""), input, "-l")
		})
	}
}

func (o *oracle) wholeInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "input")
	for name, input := range map[string]string{"lines": "one\ntwo\n", "binary": "\x00\x01\xff\r\n\x00", "empty": ""} {
		if err := os.WriteFile(file+name, []byte(input), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.published(t, "s"+name, input, "-s")
			o.published(t, "f"+name, "", "-f", file+name)
		})
	}
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		o.published(t, "n", "", "-n")
		o.published(t, "m", "", "-m", "")
		o.published(t, "repeat", "", "-m", "x", "--repeat", "3")
		o.published(t, "repeat-delay", "", "-m", "x", "--repeat", "2", "--repeat-delay", "0.01")
		o.published(t, "missing", "", "-f", file+"none")
	})
}

func (o *oracle) wills(t *testing.T) {
	o.retain(t, "wills/ready", "ready") // once: a second one would reach whoever is there
	for _, version := range []string{"311", "5"} {
		for name, sig := range map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGTERM": syscall.SIGTERM} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				o.same(t, func(c clients) outcome {
					will := fmt.Sprintf("wills/%s/%s/%s", c.name, name, version)
					p := c.start(t, "", "sub", o.at("-V", version, "-t", "wills/ready", "--will-topic", will, "--will-payload", "gone", "--will-retain", "--will-qos", "1")...)
					p.out.until(t, "ready")
					_ = p.cmd.Process.Signal(sig)
					out := p.wait(t)
					// A retained will has been published by the time that a later
					// connection has had its answer; the marker proves the order.
					o.retain(t, will+"/marker", "marker")
					heard := o.theirs.run(t, "", "sub", o.at("-t", will+"/#", "-F", "%p", "-W", "1")...)
					out.Stdout += heard.Stdout
					return out
				})
			})
		}
	}
}

func (o *oracle) clearing(t *testing.T) {
	for i, args := range [][]string{
		{"--retained-only", "--remove-retained", "-W", "1"},
		{"--remove-retained", "-R", "-W", "1"},
		{"--remove-retained", "-T", "+/+/keep", "-W", "1", "-v"},
		// mosquitto_sub does not end by itself with --remove-retained -C 2, when
		// its last message and the acknowledgement of the removal cross.
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			o.same(t, func(c clients) outcome {
				for _, leaf := range []string{"a", "keep"} {
					o.retain(t, fmt.Sprintf("clear/%d/%s", i, leaf), leaf)
				}
				filter := fmt.Sprintf("clear/%d/+", i)
				out := c.run(t, "", "sub", o.at(append([]string{"-t", filter}, args...)...)...)
				left := o.theirs.run(t, "", "sub", o.at("-t", filter, "-v", "-W", "1")...)
				out.Stdout += "left:\n" + left.Stdout
				return out
			})
		})
	}
}

func (o *oracle) usage(t *testing.T) {
	type line struct {
		program string
		args    string
	}
	var all []line
	for _, program := range []string{"pub", "sub", "rr"} {
		p, _ := peerProgram("mosquitto_" + program)
		for _, opt := range optionsFor(p, true) {
			if opt.arg == "" || opt.short == "o" {
				continue
			}
			if slices.Contains([]string{"retain-handling", "tls-keylog"}, opt.long) {
				continue // not in 2.0
			}
			word := "-" + opt.short
			if opt.short == "" {
				word = "--" + opt.long
			}
			all = append(all, line{program, word})
		}
	}
	for _, args := range []string{
		"-t a# -m x", "-t a -q 3 -m x", "-t a -q -1 -m x", "-t a -p 65536 -m x", "-t a -p -1 -m x", "-t a -k 4 -m x", "-t a -k 65536 -m x",
		"-t a -M 0 -m x", "-t a -m x -n", "-t a -m x -l", "-t a -V 4 -m x", "-t a -x foo -m x", "-t a -x -2 -m x", "-t a -x 4294967296 -m x",
		"-t a -m x --will-retain", "-t a -m x --will-payload y", "-t a -m x --will-topic +", "-t a -m x --will-topic w --will-qos 3",
		"-t a -m x -i a -I b", "-t a -m x -I b -i a", "-t a -m x -c", "-t a -m x -c -V 5", "-t a -m x -V 5 -x -1", "-t a -m x --cert c", "-t a -m x --key k",
		"-t a -m x --keyform pem", "-t a -m x --psk 00", "-t a -m x --psk 00 --cafile x --psk-identity y", "-t a -m x --tls-engine-kpass-sha1 00",
		"-t a -m x -L http://x/y", "-t a -m x -L mqtt://x", "-t a -m x --proxy http://x", "-t a -m x --repeat 0", "-t a -m x --repeat-delay -1",
		"-t a -m x -vd", "-t a -m x --qos=1", "-t a -m x -q1", "-t a -m x --nonsense", "-t a -m x word",
		"-t a -m x -D publish content-type", "-t a -m x -D publish message-expiry-interval 4294967296", "-t a -m x -D publish message-expiry-interval -1",
		"-t a -m x -D connect receive-maximum 65536", "-t a -m x -D publish content-type a -D publish content-type b",
	} {
		all = append(all, line{"pub", args})
	}
	for _, args := range []string{
		"", "-t a#", "-t a -T b#", "-t a -U c#", "-t a -C 0", "-t a -C -1", "-t a -W 0", "-t a -F %", "-t a -F %z", "-t a -F %10", "-t a -F %.2", "-t a -F \\", "-t a -F \\q", "-t a -F @",
		"-t a -F %0-5t", "-t a -F %--5t", "-t a -F %.t -p -1", "-t a --random-filter 0", "-t a --random-filter 101", "-t a -c", "-t a -m x",
	} {
		all = append(all, line{"sub", args})
	}
	for _, args := range []string{"", "-t a -m x", "-e a -m x", "-t a -e b", "-t a -e + -m x", "-t a -e b -C 1"} {
		all = append(all, line{"rr", args})
	}
	for _, l := range all {
		o.same(t, func(c clients) outcome {
			out := c.run(t, "", l.program, strings.Fields(l.args)...)
			withoutHelp(&out)
			out.Stderr = "mosquitto_" + l.program + " " + l.args + "\n" + out.Stderr
			return out
		})
	}
}

// withoutHelp drops the help that goes with a complaint: each program has it in
// its own words.
func withoutHelp(out *outcome) {
	if strings.Contains(out.Stderr, pubIncomplete) {
		out.Stdout = ""
	}
}
