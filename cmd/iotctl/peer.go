package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// Called as mosquitto_pub, mosquitto_sub or mosquitto_rr the program takes
// their options, prints what they print and ends with their exit codes, those
// of --help, --version and refused messages included. Where releases differ it
// follows 2.1; IOTCTL_MOSQUITTO=2.0 asks for the forms of 2.0.
//
// On purpose it differs where they lose data or fail for ever: NUL bytes in
// the input of -l, lines read while there is no connection, and clients with
// the same identifier that throw each other out.

// peerProgram tells by the name of the executable whose part to play.
func peerProgram(argv0 string) (program, bool) {
	name := strings.TrimSuffix(filepath.Base(argv0), ".exe")
	p, ok := map[string]program{"mosquitto_pub": progPub, "mosquitto_sub": progSub, "mosquitto_rr": progRR}[name]
	return p, ok
}

func peerCommand(p program) string { return "mosquitto_" + p.String() }

// errPeerHelp and errPeerVersion end parsing.
var (
	errPeerHelp    = errors.New("help")
	errPeerVersion = errors.New("version")
)

// runPeer is run under one of mosquitto's names.
func runPeer(ctx context.Context, p program, args []string, in io.Reader, out, errs io.Writer) int {
	t := &terminal{name: peerCommand(p), in: in, out: out, err: errs}
	s, err := peerSettings(p, args)
	switch {
	case errors.Is(err, errPeerHelp):
		peerHelp(out, p)
		return 1
	case errors.Is(err, errPeerVersion):
		fmt.Fprintf(out, "%s version %s running on iotctl %s.\n", peerCommand(p), peerVersion(s), readVersion().Version)
		return 1
	case err != nil:
		peerComplain(t, err)
		t.raw("\nUse '" + peerCommand(p) + " --help' to see usage.")
		return 1
	}
	run := map[program]func(context.Context, *settings, *terminal) error{progPub: runPub, progSub: runSub, progRR: runRR}[p]
	if err = run(ctx, s, t); err == nil {
		return 0
	}
	return peerReport(s, t, err)
}

func peerVersion(s *settings) string {
	if s.peer20 {
		return "2.0"
	}
	return "2.1"
}

// peerSettings reads the defaults file and then the command line.
func peerSettings(p program, args []string) (*settings, error) {
	s := newSettings(p, true)
	s.peer20 = os.Getenv("IOTCTL_MOSQUITTO") == "2.0"
	options := optionsFor(p, true)
	lines, err := readDefaults(peerDefaults(p, args))
	if err != nil {
		lines = nil // as mosquitto, which does not mind
	}
	for _, l := range lines {
		word, value, has := strings.Cut(strings.TrimLeft(l.text, " "), " ")
		words := []string{word}
		if has {
			words = append(words, value)
		}
		if err := s.parsePeer(options, words); err != nil {
			return s, err
		}
	}
	if err := s.parsePeer(options, args); err != nil {
		return s, err
	}
	return s, s.check()
}

// peerDefaults is the file of default options: that of -o, or the usual one.
func peerDefaults(p program, args []string) string {
	for i, a := range args[:max(len(args)-1, 0)] {
		if a == "-o" {
			return args[i+1]
		}
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("USERPROFILE"), peerCommand(p)+".conf")
	}
	return configPath(peerCommand(p))
}

// parsePeer takes options as mosquitto does: an argument is a word of its own.
func (s *settings) parsePeer(options []*option, args []string) error {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--help":
			return errPeerHelp
		case "--version":
			return errPeerVersion
		}
		o := findOption(options, args[i])
		if o == nil {
			return complain("Unknown option '%s'.", args[i])
		}
		n := o.takes(args[i+1:])
		if n > len(args)-i-1 {
			return complaint(o.lack)
		}
		if err := o.set(s, strings.Join(args[i+1:i+1+n], wordSeparator)); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// peerComplain prints a complaint as mosquitto does. Several lines are joined
// in one; those with ! in front begin with no "Error: ", and mosquitto knows
// that what begins with ? is wrong, but says nothing.
func peerComplain(t *terminal, err error) {
	c := complaint("")
	if !errors.As(err, &c) {
		t.raw("Error: " + err.Error() + ".")
		for _, h := range hintsOf(err) {
			t.raw(h)
		}
		return
	}
	for i, line := range strings.Split(string(c), "\n!") {
		switch {
		case strings.HasPrefix(line, "?"):
		case strings.HasPrefix(line, "!"):
			t.raw(line[1:])
		case strings.HasPrefix(line, "\n"):
			t.raw("\nError: " + line[1:])
		case i > 0:
			t.raw(line)
		default:
			t.raw("Error: " + line)
		}
	}
}

// peerReport prints why a run has failed, unless --quiet forbids, and returns
// the exit code.
func peerReport(s *settings, t *terminal, err error) int {
	text, code := peerWords(s, err)
	if sig := (signalled{}); errors.As(err, &sig) || isClosedPipe(err) {
		return 0
	}
	c := complaint("")
	switch {
	case errors.As(err, &c):
		if !s.quiet {
			peerComplain(t, err)
		}
		if string(c) == pubIncomplete {
			peerHelp(t.out, s.prog)
		}
		if string(c) == rrIncomplete {
			t.raw("\nUse '" + peerCommand(s.prog) + " --help' to see usage.")
		}
		return 1
	case text != "" && !s.quiet:
		t.raw(text)
	}
	return code
}

// Exit codes of mosquitto's clients are the error numbers of its library.
const (
	peerErrno = 1
	peerLost  = 7
	peerTLS   = 8
)

// peerWords puts an error into mosquitto's words.
func peerWords(s *settings, err error) (text string, code int) {
	var (
		refused *client.ConnectError
		network *transport.Error
		left    *client.DisconnectedError
		errno   syscall.Errno
		f       *failure
	)
	switch {
	case errors.As(err, &refused):
		return peerRefused(s, refused), int(refused.Code)
	case errors.Is(err, errTimedOut):
		return "Timed out", int(exitTimeout)
	case errors.As(err, &network) && network.Op == "resolve":
		return "Unable to connect (Lookup error.).", peerErrno
	case errors.As(err, &network) && network.Op == "tls":
		return "Error: A TLS error occurred.\n" + network.Problem, peerTLS
	case errors.As(err, &network) && network.Op == "proxy":
		return "Error: Proxy error.\n" + network.Problem, peerErrno
	case errors.Is(err, syscall.ECONNRESET) && (errors.Is(err, client.ErrConnectionLost) || errors.Is(err, client.ErrClosedBeforeConnack)):
		return "Error: The connection was lost.", peerLost
	case errors.As(err, &errno):
		text := errno.Error()
		return "Error: " + strings.ToUpper(text[:1]) + text[1:], peerErrno
	case errors.As(err, &left):
		return "Error: The connection was lost.\n" + left.Error(), peerLost
	case errors.Is(err, client.ErrConnectionLost), errors.Is(err, client.ErrClosedBeforeConnack), errors.Is(err, client.ErrFlapping):
		return "Error: The connection was lost.", peerLost
	case errors.As(err, &f) && f.code == 255:
		return "", 255
	}
	return "Error: " + err.Error(), 1
}

func peerRefused(s *settings, e *client.ConnectError) string {
	reason := e.Code.String()
	if e.Version != mqtt.V5 {
		reason = "Connection Refused: unknown reason."
		if texts := []string{"", "unacceptable protocol version", "identifier rejected", "broker unavailable", "bad user name or password", "not authorised"}; int(e.Code) < len(texts) && e.Code > 0 {
			reason = "Connection Refused: " + texts[e.Code] + "."
		}
	}
	text := "Connection error: " + reason
	switch {
	case s.prog == progRR && e.Version != mqtt.V5:
		text = "Connection error: Unknown reason" // it looks the code up in the table of 5.0
		if e.Code.AllowedIn(mqtt.TypeSuback) || e.Code.AllowedIn(mqtt.TypeDisconnect) {
			text = "Connection error: " + e.Code.String()
		}
	case s.prog == progRR && e.Code == mqtt.UnsupportedProtocolVersion:
		text += ". mosquitto_rr only supports connecting to an MQTT v5 broker"
	case e.Version == mqtt.V5 && e.Code == mqtt.UnsupportedProtocolVersion:
		text += ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."
	}
	if s.prog != progPub {
		return text
	}
	if e.Version == mqtt.V5 {
		return text + "\nError: A network protocol error occurred when communicating with the broker."
	}
	return text + "\nError: The connection was refused."
}

// peerHelp describes the options in our own words.
func peerHelp(w io.Writer, p program) {
	fmt.Fprintf(w, "%s is iotctl %s under another name, with the options of mosquitto's client.\n\n", peerCommand(p), p)
	own := map[string]*option{}
	for _, o := range optionsFor(p, false) {
		if o.short != "" {
			own[o.short] = o
		}
	}
	for _, o := range optionsFor(p, true) {
		help := o.help
		if help == "" && own[o.short] != nil {
			help = own[o.short].help
		}
		switch o.short {
		case "o":
			help = "read default options from this file"
		case "L", "q":
			help, _, _ = strings.Cut(help, ";") // what follows is about devices, which it does not speak as
		}
		var names []string
		if o.short != "" {
			names = append(names, "-"+o.short)
		}
		if o.long != "" {
			names = append(names, "--"+o.long)
		}
		fmt.Fprintf(w, " %s\n      %s\n", strings.TrimSpace(strings.Join(names, ", ")+" "+o.arg), help)
	}
	fmt.Fprintf(w, "\nThe same under its own name, with more options and truthful exit codes: iotctl %s --help\n", p)
}
