package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/payload"
)

func newPayload() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "payload list|decode|encode",
		Short: "Try what --payload makes of payloads, without a broker",
		Long: `Reads and writes single payloads by the rules that --payload of sub, pub and their
like takes. What rules look like, and which formats there are, is described by
iotctl help payloads.`,
		Example: `  iotctl payload list
  iotctl payload decode cbor --hex -m a16474656d70f94d60
  iotctl payload encode 'gzip|json' -m '{"temp":21.5}' --base64`,
		GroupID: groupTools,
		Args:    oneOfItsCommands,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	cmd.AddCommand(newPayloadList(), newPayloadDecode(), newPayloadEncode())
	return cmd
}

func newPayloadList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the formats of payloads",
		Long:  `Prints name, argument and purpose of each format that a rule may name.`,
		Example: `  iotctl payload list
  iotctl payload list --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listPayloads(newTerminal(cmd).out, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// payloadEntry is a line of the list.
type payloadEntry struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Args    string `json:"args"`
	About   string `json:"about"`
	Example string `json:"example"`
}

func listPayloads(out io.Writer, asJSON bool) error {
	var all []payloadEntry
	for _, f := range payloads() {
		kind := map[payload.Kind]string{payload.Reads: "reads", payload.Packs: "unpacks", payload.Checks: "checks"}[f.Kind]
		all = append(all, payloadEntry{f.Name, kind, f.Args, f.About, f.Example})
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return e.Encode(all)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tPURPOSE, AND ARGUMENT")
	for _, e := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, e.Kind, e.About)
		if e.Args != "" {
			fmt.Fprintf(w, "\t\t%s%s\n", e.Name, e.Args)
		}
	}
	return w.Flush()
}

// payloadTrial is the command line of payload decode and payload encode.
type payloadTrial struct {
	message     string
	given       bool // --message
	hex, base64 bool
	topic       string
	contentType string
	output      string
}

func (o *payloadTrial) flags(cmd *cobra.Command, digits string) {
	cmd.Flags().StringVarP(&o.message, "message", "m", "", "take this `text`, and no file")
	cmd.Flags().BoolVar(&o.hex, "hex", false, digits+" hex")
	cmd.Flags().BoolVar(&o.base64, "base64", false, digits+" Base64")
	cmd.Flags().StringVarP(&o.topic, "topic", "t", "", "the `topic` of the message, for rules with a filter and for Sparkplug")
	cmd.Flags().StringVar(&o.contentType, "content-type", "", "the content `type` of the message, for auto")
}

func newPayloadDecode() *cobra.Command {
	var o payloadTrial
	cmd := &cobra.Command{
		Use:   "decode rule [file|-]",
		Short: "Show what a payload says",
		Long: `Reads one payload from a file, from standard input or from -m, and prints what it
says: JSON, or the notation of its format. -o json prints an object: format,
value, notation where JSON does not say it all, and notes. What is no such
payload ends with code 5.`,
		Example: `  iotctl payload decode cbor --hex -m a16474656d70f94d60
  iotctl payload decode 'struct:>i16:temp*0.1 u8:humidity' --hex -m 00d737
  iotctl payload decode auto -o json reading.bin`,
		Args: ruleAndFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = cmd.Flags().Changed("message")
			return decodePayload(newTerminal(cmd), &o, args)
		},
	}
	o.flags(cmd, "what is read is")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "what to print: text or json")
	return cmd
}

func newPayloadEncode() *cobra.Command {
	var o payloadTrial
	cmd := &cobra.Command{
		Use:   "encode rule [file|-]",
		Short: "Make a payload of what is typed",
		Long: `Reads what payload decode prints, from a file, from standard input or from -m, and
writes the bytes of the payload. A newline at the end of what is read is left
out.`,
		Example: `  iotctl payload encode cbor -m '{"temp": 21.5, "raw": h'\''00ff'\''}' --hex
  iotctl payload encode 'struct:>i16:temp*0.1 u8:humidity' -m '{"temp":21.5,"humidity":55}' --hex`,
		Args: ruleAndFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = cmd.Flags().Changed("message")
			return encodePayload(newTerminal(cmd), &o, args)
		},
	}
	o.flags(cmd, "print the payload as")
	return cmd
}

func ruleAndFile(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fail(exitUsage, fmt.Errorf("%s needs a rule, such as cbor or 'gzip|json'", cmd.CommandPath()), "iotctl payload list")
	}
	if len(args) > 2 {
		return usagef("%s takes a rule and a file, and %q is another", cmd.CommandPath(), args[2])
	}
	return nil
}

// rules reads the one that was given, and checks that it is for the topic.
func (o *payloadTrial) rules(text string) (*payload.Rules, error) {
	if o.hex && o.base64 {
		return nil, fail(exitUsage, errors.New("--hex and --base64 are two ways to write the same"), "leave one of them out")
	}
	if o.output != "" && o.output != "text" && o.output != "json" {
		return nil, usagef("-o %q: must be text or json", o.output)
	}
	rule, err := payload.ParseRule(text)
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("rule %q: %w", text, err), "iotctl help payloads")
	}
	rules, err := newPayloadRules([]payload.Rule{rule})
	if err == nil && rules.For(o.topic) == nil {
		err = fail(exitUsage, fmt.Errorf("the rule is for %s, and the topic is %q", rule.Filter, o.topic), "give a topic with -t, or only "+rule.Pipeline)
	}
	return rules, err
}

// mostPayload is the longest that MQTT carries.
const mostPayload = 268_435_455

// input is what -m, the file or standard input has.
func (o *payloadTrial) input(t *terminal, args []string) (b []byte, name string, err error) {
	if o.given {
		if len(args) > 1 {
			return nil, "", usagef("-m and %s are two payloads", args[1])
		}
		return []byte(o.message), "payload", nil
	}
	in, name := t.in, "standard input"
	if len(args) > 1 && args[1] != "-" {
		f, err := os.Open(args[1])
		if err != nil {
			return nil, "", fail(exitUsage, err)
		}
		defer f.Close()
		in, name = f, args[1]
	}
	b, err = io.ReadAll(io.LimitReader(in, mostPayload+1))
	if err == nil && len(b) > mostPayload {
		err = fail(exitMalformed, fmt.Errorf("%s: more than the %d bytes that MQTT carries", name, mostPayload))
	}
	return b, name, err
}

// digits is the pipeline of --hex or --base64, nil without.
func (o *payloadTrial) digits() (*payload.Pipeline, error) {
	switch {
	case o.hex:
		return payload.NewPipeline(payloads(), "hex")
	case o.base64:
		return payload.NewPipeline(payloads(), "base64")
	}
	return nil, nil //nolint:nilnil // raw bytes need none
}

func decodePayload(t *terminal, o *payloadTrial, args []string) error {
	rules, err := o.rules(args[0])
	if err != nil {
		return err
	}
	b, name, err := o.input(t, args)
	if err != nil {
		return err
	}
	digits, err := o.digits()
	if err != nil {
		return err
	}
	if digits != nil {
		raw := payload.Content{Text: b}
		if err := digits.Encode(&raw); err != nil {
			return fail(exitMalformed, fmt.Errorf("%s: %w", name, err))
		}
		b = raw.Bytes
	}
	c, ok, err := rules.Decode(o.topic, o.contentType, b)
	switch {
	case err != nil:
		return fail(exitMalformed, fmt.Errorf("%s: %w", name, err))
	case !ok:
		return fail(exitMalformed, fmt.Errorf("%s is empty", name))
	}
	if o.output == "json" {
		_, err = t.out.Write(append(payload.AppendJSON(nil, describePayload(&c)), '\n'))
		return err
	}
	for _, note := range c.Notes {
		t.warnf("%s", note)
	}
	if strings.HasSuffix(c.Label, payload.Guess) {
		t.notef("taken for %s", c.Label)
	}
	_, err = t.out.Write(append(c.AppendText(nil), '\n'))
	return err
}

// describePayload is c as an object.
func describePayload(c *payload.Content) payload.Object {
	o := payload.Object{{Name: "format", Value: c.Label}, {Name: "value", Value: c.Value}}
	if c.Text != nil {
		o = append(o, payload.Member{Name: "notation", Value: string(c.Text)})
	}
	if len(c.Notes) > 0 {
		notes := []any{}
		for _, n := range c.Notes {
			notes = append(notes, n)
		}
		o = append(o, payload.Member{Name: "notes", Value: notes})
	}
	return o
}

func encodePayload(t *terminal, o *payloadTrial, args []string) error {
	rules, err := o.rules(args[0])
	if err != nil {
		return err
	}
	if t.outTTY && !o.hex && !o.base64 {
		return fail(exitUsage, errors.New("the bytes of payloads are not for a terminal"), "add --hex or --base64")
	}
	typed, name, err := o.input(t, args)
	if err != nil {
		return err
	}
	b, err := rules.Encode(o.topic, o.contentType, bytes.TrimSuffix(typed, []byte("\n")))
	if err != nil {
		return fail(exitMalformed, fmt.Errorf("%s: %w", name, err))
	}
	digits, err := o.digits()
	if err != nil {
		return err
	}
	if digits != nil {
		c := payload.Content{Bytes: b}
		if err := digits.Decode(&c); err != nil {
			return fail(exitMalformed, fmt.Errorf("%s: %w", name, err))
		}
		b = append(c.Text, '\n')
	}
	_, err = t.out.Write(b)
	return err
}
