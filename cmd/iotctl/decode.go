package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/display"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/selector"
)

// decodeOptions is the command line of `iotctl decode`.
type decodeOptions struct {
	in, as, from, keylog, time string
	codecs                     []string
	lines, stream              bool
	port                       uint16

	filter string
	follow string
	count  int

	hex, list, ladder, tree, stats, diff, json, html bool
	fields                                           []string

	secrets, hexOffsets, quiet bool
}

func newDecode() *cobra.Command {
	var o decodeOptions
	cmd := &cobra.Command{
		Use:   "decode [packet|@file|file|-]...",
		Short: "Read packets and captures byte by byte, and name the rules they break",
		Long: `Reads packets in whatever form they are at hand: pasted as an argument, in a file,
or on standard input, where there is no argument. That may be hex in any common
spelling, the output of xxd, hexdump, od or tcpdump, what Wireshark copies,
Base64, a literal of C, Go or Python, the bytes themselves, or a capture (pcap,
pcapng, gzip). The form is found out and told on standard error.

The protocol is found out, too, whatever the port: MQTT 3.1, 3.1.1 and 5.0,
MQTT-SN, CoAP with LwM2M and SenML, the EMQ private TCP protocol, the text
protocol, and the private protocols of iotctl codec list. PROXY headers,
WebSocket, and TLS with a key log, are taken away. Without a CONNECT the version
of MQTT is inferred from what can be read as only one of them.

One packet is shown as annotated hex, several as a list; options ask for other
forms. A line that begins with ! breaks a rule, one with ~ looks wrong.

Expressions of --filter, on fields by their names, with - for blanks:

  PUBLISH topic=sensors/+/t qos>0        all of these
  s2c (PUBACK or PUBREC) code>=0x80      sent by the server
  client=sensor-* after>100ms            answered later than that
  error or not payload~'"t":[0-9]'       a regular expression

Beside fields there are type, protocol, version, stream, client, user, number,
size, time, answers, after, error and warning.

--json prints objects with number, stream, from, time, offset, frames, transport,
client, server, layers, why, protocol, version, type, summary, size, state (ok,
malformed or incomplete), missing, answers, after (seconds), fields and problems.
A field has name, offset, size, kind, value, text, note, raw, mask, form, of,
encoding, hidden and kids; a problem severity, offset, size, text, rule and
advice. Bytes are hex. What does not apply is left out.

Colours are those of kinds, on bytes and names alike: structure bold, lengths dim,
flags yellow, numbers cyan, text green, bytes blue, warnings magenta, errors white
on red.

It ends with 0 when all that was shown is right, with 1 when a rule is broken,
with 2 when the input cannot be read (or the command line is wrong), and with 3
when a packet is not complete.`,
		Example: `  iotctl decode 10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00
  iotctl decode @session.pcapng
  iotctl decode session.pcapng --filter 'PUBLISH topic=sensors/#' --json
  iotctl decode session.pcapng --follow sensor-7 --html > sensor-7.html
  tcpdump -i lo -U -w - port 1883 | iotctl decode -`,
		GroupID: groupTools,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDecode(cmd.Context(), newTerminal(cmd), &o, args)
		},
	}
	o.flags(cmd)
	return cmd
}

func (o *decodeOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.in, "in", "", "read the input as this `form`, instead of finding out: capture, "+strings.Join(capture.Forms(), ", "))
	f.StringVar(&o.as, "as", "", "read it as this `protocol`, instead of finding out: mqtt5, mqtt3.1.1, coap, ...")
	f.StringArrayVar(&o.codecs, "codec", nil, "a `file` that describes a private protocol (iotctl help definitions); may be repeated")
	f.BoolVar(&o.lines, "lines", false, "each line of the input is a packet")
	f.BoolVar(&o.stream, "stream", false, "all lines of the input are one stream")
	f.StringVar(&o.from, "from", "", "who has sent what was pasted: client or `server`")
	f.Uint16Var(&o.port, "port", 0, "the `port` of the server, where bytes alone leave it open what they are")
	f.StringVar(&o.keylog, "keylog", "", "a `file` of TLS secrets, as SSLKEYLOGFILE makes them")

	f.StringVar(&o.filter, "filter", "", "show only packets of which this `expression` is true")
	f.StringVar(&o.follow, "follow", "", "show only the stream of this number, or this `client`; * and ? stand for others")
	f.IntVar(&o.count, "count", 0, "end after this `number` of packets")

	f.BoolVar(&o.hex, "hex", false, "show annotated hex, as for a single packet")
	f.BoolVar(&o.list, "list", false, "show a line for each packet, as for several")
	f.BoolVar(&o.tree, "tree", false, "show a tree of the fields")
	f.BoolVar(&o.ladder, "ladder", false, "show what both sides have said to each other, as arrows")
	f.StringSliceVar(&o.fields, "fields", nil, "print only these fields, with tabs between: `topic,qos`")
	f.BoolVar(&o.stats, "stats", false, "show statistics: types, sizes, how long answers took, problems")
	f.BoolVar(&o.diff, "diff", false, "compare two packets, field by field")
	f.BoolVar(&o.json, "json", false, "print a JSON object for each packet (iotctl encode reads it)")
	f.BoolVar(&o.html, "html", false, "print a page (HTML) on which bytes and fields point at each other")

	f.BoolVar(&o.secrets, "secrets", false, "show passwords and the like")
	f.BoolVar(&o.hexOffsets, "hex-offsets", false, "count bytes in hex")
	f.StringVar(&o.time, "time", "start", "how to show the `time`: seconds since the start, utc or local")
	f.BoolVar(&o.quiet, "quiet", false, "do not tell on standard error what was found out")
	o.completions(cmd)
}

func (o *decodeOptions) completions(cmd *cobra.Command) {
	fixed := func(name string, values ...string) {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	fixed("in", append([]string{formCapture}, capture.Forms()...)...)
	fixed("from", "client", "server")
	fixed("time", "start", "utc", "local")
	_ = cmd.RegisterFlagCompletionFunc("as", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names := []string{"mqtt3.1", "mqtt3.1.1", "mqtt5"}
		all, _ := dissectors()
		for _, d := range all {
			names = append(names, d.Name())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

// formCapture is the form of --in that is no pasted text.
const formCapture = "capture"

// shape is how packets are shown.
type shape uint8

const (
	shapeAuto shape = iota // hex of one, a list of several
	shapeHex
	shapeList
	shapeTree
	shapeLadder
	shapeFields
	shapeStats
	shapeDiff
	shapeJSON
	shapeHTML
)

// shape is the one that was asked for.
func (o *decodeOptions) shape() (shape, error) {
	chosen, name := shapeAuto, ""
	for _, s := range []struct {
		on    bool
		name  string
		shape shape
	}{
		{o.hex, "--hex", shapeHex},
		{o.list, "--list", shapeList},
		{o.tree, "--tree", shapeTree},
		{o.ladder, "--ladder", shapeLadder},
		{len(o.fields) > 0, "--fields", shapeFields},
		{o.stats, "--stats", shapeStats},
		{o.diff, "--diff", shapeDiff},
		{o.json, "--json", shapeJSON},
		{o.html, "--html", shapeHTML},
	} {
		if !s.on {
			continue
		}
		if chosen != shapeAuto {
			return 0, fail(exitUsage, fmt.Errorf("%s and %s are two ways to show the same", name, s.name), "leave one of them out")
		}
		chosen, name = s.shape, s.name
	}
	return chosen, nil
}

// style is what of the command line the forms have in common.
func (o *decodeOptions) style(t *terminal) (display.Style, error) {
	s := display.Style{Color: t.colorOut, Secrets: o.secrets, HexOffsets: o.hexOffsets}
	if t.outTTY {
		s.Width = terminalWidth(t.out)
	}
	switch o.time {
	case "start":
	case "utc":
		s.Clock = display.UTC
	case "local":
		s.Clock = display.Local
	default:
		return s, usagef("--time %q: must be start, utc or local", o.time)
	}
	return s, nil
}

// expression is --filter.
func (o *decodeOptions) expression() (*selector.Expr, error) {
	e, err := selector.Parse(o.filter)
	var mistake *selector.Error
	switch {
	case errors.As(err, &mistake) && mistake.Hint != "":
		return nil, fail(exitUsage, fmt.Errorf("--filter: %w", err), mistake.Hint)
	case err != nil:
		return nil, fail(exitUsage, fmt.Errorf("--filter: %w", err), "iotctl decode --help")
	}
	return e, nil
}

// followed is --follow: the number of a stream, 0 for any, or which clients are meant,
// nil for all of them.
func (o *decodeOptions) followed() (stream int, client *selector.Expr, err error) {
	if o.follow == "" {
		return 0, nil, nil
	}
	if n, err := strconv.Atoi(o.follow); err == nil {
		if n < 1 {
			return 0, nil, usagef("--follow: streams are counted from 1")
		}
		return n, nil, nil
	}
	client, err = clientsLike(o.follow)
	return 0, client, err
}

// direction is --from.
func (o *decodeOptions) direction() (dissect.Direction, error) {
	switch o.from {
	case "":
		return dissect.Unknown, nil
	case "client":
		return dissect.FromClient, nil
	case "server":
		return dissect.FromServer, nil
	}
	return 0, usagef("--from %q: must be client or server", o.from)
}

// readers are the dissectors, those of --codec first.
func (o *decodeOptions) readers() ([]dissect.Dissector, error) {
	var all []dissect.Dissector
	for _, name := range o.codecs {
		src, err := readDefinitionFile(name)
		if err != nil {
			return nil, fail(exitUsage, err, "iotctl codec list")
		}
		c, err := frame.Parse(name, src)
		if err != nil {
			return nil, fail(exitUsage, err, "iotctl codec check "+quoteShell(name))
		}
		all = append(all, dissect.NewFrame(c))
	}
	builtin, err := dissectors()
	for _, d := range builtin {
		if !slices.ContainsFunc(all, func(own dissect.Dissector) bool { return own.Name() == d.Name() }) {
			all = append(all, d)
		}
	}
	return all, err
}

// keys is --keylog.
func (o *decodeOptions) keys() (*capture.KeyLog, error) {
	if o.keylog == "" {
		return new(capture.KeyLog), nil
	}
	f, err := os.Open(o.keylog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitUsage, err, "SSLKEYLOGFILE="+quoteShell(o.keylog)+" has many programs write one")
	}
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	defer f.Close()
	keys, err := capture.ReadKeyLog(f)
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("--keylog %s: %w", o.keylog, err))
	}
	return keys, nil
}
