package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/display"
)

// encodeOptions is the command line of `iotctl encode`.
type encodeOptions struct{ hex, base64 bool }

func newEncode() *cobra.Command {
	var o encodeOptions
	cmd := &cobra.Command{
		Use:   "encode [file|-]",
		Short: "Make bytes of the JSON that decode --json --secrets prints",
		Long: `Reads JSON objects as iotctl decode --json --secrets prints them, from a file or
from standard input, and writes the bytes of their packets, one after the other.
What nobody has changed comes out as it went in.

To change a packet, change the value of a field: one with a form (unsigned,
varint, raw) or a mask is written anew, and the lengths that count it become
right. Where raw is taken out, the value is used in the same way; where both are
there and differ, the value counts. Of a field without a form raw can be changed.
A length that is changed itself stays as it is given, right or wrong. Checksums
are not computed.

Packets with hidden secrets are refused: decode them with --secrets.`,
		Example: `  iotctl decode --json --secrets 300400016168 | iotctl encode --hex
  iotctl decode --json 3006000161686921 | jq -c '(.fields[] | select(.name == "topic") | .value) = "rooms/1"' | iotctl encode --hex
  iotctl decode --json --secrets session.pcapng | iotctl encode > session.bin`,
		GroupID: groupTools,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one file, and %q is another", cmd.CommandPath(), args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEncode(newTerminal(cmd), &o, args)
		},
	}
	cmd.Flags().BoolVar(&o.hex, "hex", false, "print hex, a line for each packet")
	cmd.Flags().BoolVar(&o.base64, "base64", false, "print Base64, a line for each packet")
	return cmd
}

func runEncode(t *terminal, o *encodeOptions, args []string) error {
	if o.hex && o.base64 {
		return fail(exitUsage, errors.New("--hex and --base64 are two ways to print the same"), "leave one of them out")
	}
	in, name := t.in, "standard input"
	if len(args) > 0 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return fail(exitUsage, err, "iotctl encode reads the JSON that iotctl decode --json --secrets prints, from a file or standard input")
		}
		defer f.Close()
		in, name = f, args[0]
	}
	if t.outTTY && !o.hex && !o.base64 {
		return fail(exitUsage, errors.New("the bytes of packets are not for a terminal"), "iotctl encode --hex")
	}
	out := bufio.NewWriterSize(t.out, 64<<10)
	err := encodeAll(in, name, func(packet []byte) error { return o.write(out, packet) })
	return errors.Join(err, out.Flush())
}

// encodeAll calls emit with the bytes of each packet, valid until it returns.
func encodeAll(in io.Reader, name string, emit func([]byte) error) error {
	d := json.NewDecoder(in)
	var packet []byte
	for n := 1; ; n++ {
		var object json.RawMessage
		switch err := d.Decode(&object); {
		case errors.Is(err, io.EOF) && n == 1:
			return fail(exitMalformed, fmt.Errorf("%s has no JSON", name), "iotctl decode --json --secrets writes what encode reads")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fail(exitMalformed, fmt.Errorf("%s: byte %d: %w", name, d.InputOffset(), err), "iotctl decode --json --secrets writes what encode reads")
		}
		objects := []json.RawMessage{object}
		if bytes.HasPrefix(object, []byte("[")) { // as jq -s makes it
			objects = nil
			if err := json.Unmarshal(object, &objects); err != nil {
				return fail(exitMalformed, fmt.Errorf("%s: %w", name, err))
			}
		}
		for _, one := range objects {
			var err error
			if packet, err = display.Encode(packet[:0], one); err != nil {
				return failEncode(name, n, err)
			}
			if err := emit(packet); err != nil {
				return err
			}
		}
	}
}

func failEncode(name string, n int, err error) error {
	var hints []string
	if wrong := (*display.EncodeError)(nil); errors.As(err, &wrong) && wrong.Hint != "" {
		hints = []string{wrong.Hint}
	}
	return fail(exitMalformed, fmt.Errorf("%s: packet %d: %w", name, n, err), hints...)
}

func (o *encodeOptions) write(out *bufio.Writer, packet []byte) error {
	line := packet
	switch {
	case len(packet) == 0: // a note between packets
		return nil
	case o.hex:
		line = append(hex.AppendEncode(nil, packet), '\n')
	case o.base64:
		line = append(base64.StdEncoding.AppendEncode(nil, packet), '\n')
	}
	_, err := out.Write(line)
	return err
}
