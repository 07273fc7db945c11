package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// This file has the comparisons of TestOracle in which the test plays the
// server: what the clients send, and what they make of its answers.

func (o *oracle) refusals(t *testing.T) {
	try := func(name string, v mqtt.Version, code mqtt.ReasonCode) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, v, func(mqtt.Packet) (mqtt.Packet, bool) { return mqtt.Connack{Code: code}, true })
			for _, program := range []string{"pub", "sub", "rr"} {
				o.same(t, func(c clients) outcome {
					return c.run(t, "", program, append([]string{"-h", "127.0.0.1", "-p", s.port, "-V", strconv.Itoa(versionOption(v)), "-t", "a"}, payloadArgs(program)...)...)
				})
			}
		})
	}
	t.Run("reset", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = nc.Read(make([]byte, 1024))
				_ = nc.(*net.TCPConn).SetLinger(0)
				_ = nc.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		o.same(t, func(c clients) outcome {
			return c.run(t, "", "pub", "-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "x")
		})
	})
	for code := mqtt.ReasonCode(1); code <= 5; code++ {
		try(fmt.Sprintf("3.1.1 code %d", code), mqtt.V311, code)
	}
	for code := mqtt.ReasonCode(0x80); code <= 0x9F; code++ {
		if code.AllowedIn(mqtt.TypeConnack) {
			try(fmt.Sprintf("5.0 code %#x", uint8(code)), mqtt.V5, code)
		}
	}
}

func versionOption(v mqtt.Version) int {
	return map[mqtt.Version]int{mqtt.V31: 31, mqtt.V311: 311, mqtt.V5: 5}[v]
}

func (o *oracle) properties(t *testing.T) {
	s := newScript(t, mqtt.V5, func(p mqtt.Packet) (mqtt.Packet, bool) {
		if _, ok := p.(mqtt.Connect); ok {
			return mqtt.Connack{Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropTopicAliasMaximum, 10)}, false
		}
		return politely(p)
	})
	names := []string{
		"payload-format-indicator", "message-expiry-interval", "content-type", "response-topic", "correlation-data", "subscription-identifier",
		"session-expiry-interval", "assigned-client-identifier", "server-keep-alive", "authentication-method", "authentication-data",
		"request-problem-information", "will-delay-interval", "request-response-information", "response-information", "server-reference",
		"reason-string", "receive-maximum", "topic-alias-maximum", "topic-alias", "maximum-qos", "retain-available", "user-property",
		"maximum-packet-size", "wildcard-subscription-available", "subscription-identifier-available", "shared-subscription-available", "nonsense",
	}
	commands := []string{"connect", "publish", "subscribe", "unsubscribe", "disconnect", "will", "auth", "connack", "puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback", "pingreq", "pingresp", "nonsense"}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			for _, name := range names {
				if known := knownDeviation(command, name); known != "" {
					t.Logf("%s %s: %s", command, name, known)
					continue
				}
				value := "1"
				if name == "maximum-packet-size" {
					value = "1000" // CONNACK has to fit
				}
				args := []string{"-h", "127.0.0.1", "-p", s.port, "-t", "a", "-m", "x", "--will-topic", "w", "-D", command, name, value}
				if name == "user-property" {
					args = append(args, "2")
				}
				o.same(t, func(c clients) outcome {
					out := c.run(t, "", "pub", args...)
					out.Stdout += strings.Join(s.take(t), "\n")
					return out
				})
			}
		})
	}
}

// knownDeviation lists where the comparison would fail on purpose.
func knownDeviation(command, name string) string {
	switch {
	case command == "will" && name == "reason-string":
		return "a will has no reason string in MQTT 5.0; mosquitto_pub sends it"
	case command == "connect" && name == "authentication-data":
		return "data without method is a protocol error; mosquitto_pub sends it"
	}
	return ""
}

// wire compares the packets that a program sends.
func (o *oracle) wire(t *testing.T, v mqtt.Version, program string, args ...string) {
	t.Helper()
	s := newScript(t, v, politely)
	o.same(t, func(c clients) outcome {
		out := c.run(t, "", program, append([]string{"-h", "127.0.0.1", "-p", s.port, "-V", strconv.Itoa(versionOption(v))}, args...)...)
		out.Stdout += strings.Join(s.take(t), "\n")
		return out
	})
}

func (o *oracle) connects(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-i", "name"},
		{"-i", "name", "-c"},
		{"-i", "name", "-c", "-x", "60"},
		{"-x", "60"},
		{"-i", "name", "-x", "-1"},
		{"-i", "name", "-x", "∞"},
		{"-k", "5"},
		{"-k", "65535"},
		{"-u", "user"},
		{"-u", "user", "-P", "secret"},
		{"-u", "", "-P", ""},
		{"--will-topic", "w"},
		{"--will-topic", "w", "--will-payload", "gone", "--will-qos", "2", "--will-retain"},
		{"-q", "1"},
		{"-q", "2"},
		{"-r"},
		{"-q", "2", "-r"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
				o.wire(t, v, "pub", append(args, "-t", "a", "-m", "x")...)
			}
			if slices.Contains(args, "-i") {
				o.wire(t, mqtt.V31, "pub", append(args, "-t", "a", "-m", "x")...)
			}
		})
	}
}

func (o *oracle) subscribes(t *testing.T) {
	for _, args := range [][]string{
		{"-t", "a"},
		{"-t", "a", "-t", "b/+", "-t", "c/#"},
		{"-t", "z", "-t", "a", "-t", "m", "-q", "2"},
		{"-t", "a", "-t", "a"},
		// Not -U: mosquitto_sub leaves at SUBACK, whatever becomes of UNSUBSCRIBE;
		// this program waits for UNSUBACK.
		{"-t", "$share/g/a"},
		{"-t", "a", "--retain-as-published"},
		{"-t", "a", "-R"},
		{"-t", "a", "-C", "3", "-W", "1"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
				o.wire(t, v, "sub", append(args, "-E")...)
			}
		})
	}
}

func (o *oracle) debug(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, args := range [][]string{
			{"pub", "-t", "a", "-m", "x"},
			{"pub", "-t", "a", "-m", "x", "-q", "1", "-i", "name"},
			{"pub", "-t", "a", "-m", "x", "-q", "2", "-r"},
			{"pub", "-t", "a", "-m", "x", "-q", "1", "--repeat", "3"},
			{"sub", "-t", "a", "-t", "b", "-q", "1", "-E"},
			{"sub", "-t", "a", "-W", "1"},
			{"rr", "-t", "a", "-e", "b", "-m", "x", "-W", "1", "-q", "1"},
		} {
			t.Run(v.String()+" "+strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				o.wire(t, v, args[0], append(args[1:], "-d")...)
			})
		}
	}
}

func (o *oracle) responses(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		s := newScript(t, v, func(p mqtt.Packet) (mqtt.Packet, bool) {
			if m, ok := p.(mqtt.Publish); ok {
				return bundle{p: p, then: []mqtt.Publish{{Topic: []byte("answer"), Payload: append([]byte("to "), m.Payload...)}}}, false
			}
			return politely(p)
		})
		for _, args := range [][]string{{}, {"-v"}, {"-N"}, {"-F", "%t %p %q %r"}, {"-q", "1"}, {"-n"}} {
			if !slices.Contains(args, "-n") {
				args = append(args, "-m", "request")
			}
			o.same(t, func(c clients) outcome {
				out := c.run(t, "", "rr", append([]string{"-h", "127.0.0.1", "-p", s.port, "-V", strconv.Itoa(versionOption(v)), "-t", "question", "-e", "answer", "-W", "5"}, args...)...)
				// mosquitto_rr closes the connection without DISCONNECT here.
				sent := slices.DeleteFunc(s.take(t), func(p string) bool { return p == "e000" })
				out.Stdout += strings.Join(sent, "\n")
				return out
			})
		}
	}
}

func (o *oracle) defaultsFiles(t *testing.T) {
	s := newScript(t, mqtt.V311, politely)
	for name, file := range map[string]string{
		"options":       "-t from/file\n-m file\n",
		"value blanks":  "-t a\n-m  two  words \n",
		"comment":       "# comment\n-t a\n\n-m x\n",
		"indented":      "  # no comment\n-t a\n",
		"unknown":       "--nonsense\n",
		"missing value": "-t\n",
		"property":      "-D publish content-type text\n",
		"switches":      "-r\n-q 1\n-t a\n-m x\n",
		"long":          "--topic a\n--message x\n--qos 2\n",
		"absent":        "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if file != "" {
				if err := os.WriteFile(filepath.Join(dir, "mosquitto_pub"), []byte(file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, args := range [][]string{{}, {"-t", "from/line"}, {"-m", "line"}, {"-q", "0"}} {
				o.same(t, func(c clients) outcome {
					c.env = append(slices.Clone(c.env), "XDG_CONFIG_HOME="+dir)
					out := c.run(t, "", "pub", append([]string{"-h", "127.0.0.1", "-p", s.port}, args...)...)
					withoutHelp(&out)
					out.Stdout += strings.Join(s.take(t), "\n")
					return out
				})
			}
		})
	}
}
