package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/auth/pairing"
)

func newPairList() *cobra.Command {
	var o pairOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show who asks to be let in, and who has been",
		Long: `Prints the devices that wait, and below them those about which has been decided.
Names are as the devices give them; whatever is not plain ASCII is shown escaped,
because letters of other scripts may look like those of a name that you know. A
device that presents nothing but its name is marked INSECURE: anybody could have
given that name.

The key of a certificate is shown by the beginning of its SHA-256 fingerprint;
--json has all of it.`,
		Example: `  iotctl pair list
  iotctl pair list --state pending --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPairList(cmd.Context(), newTerminal(cmd), &o)
		},
	}
	o.flags(cmd)
	o.listenerFlag(cmd, "only devices at the listener of this `name`")
	cmd.Flags().StringVar(&o.state, "state", "", "only devices in this `state`: pending, approved, rejected or expired")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func runPairList(ctx context.Context, t *terminal, o *pairOptions) error {
	var only pairing.State
	if o.state != "" {
		if err := only.UnmarshalText([]byte(o.state)); err != nil {
			return usagef("--state: %w", err)
		}
	}
	list, err := o.list(ctx)
	if err != nil {
		return err
	}
	list.Devices = slices.DeleteFunc(list.Devices, func(e pairing.Entry) bool {
		return only != 0 && e.State != only || o.listener != "" && e.Listener != o.listener
	})
	slices.SortStableFunc(list.Devices, func(a, b pairing.Entry) int { return cmp.Compare(a.State, b.State) })
	if o.json {
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		_, err = t.out.Write(append(asciiJSON(text), '\n'))
		return err
	}
	if d := list.Door; d != nil {
		t.notef("the door is open for %s until %s", counted(d.Left, "device"), d.Until.Local().Format(time.TimeOnly))
	}
	return writeDevices(t.out, t.colorOut, list.Devices, time.Now())
}

// list asks for all pages.
func (o *pairOptions) list(ctx context.Context) (pairList, error) {
	all := pairList{Devices: []pairing.Entry{}}
	var q pairListing
	for {
		var page pairList
		if err := o.ask(ctx, commandPairList, q, &page); err != nil {
			return pairList{}, err
		}
		all.Door = page.Door
		all.Devices = append(all.Devices, page.Devices...)
		if len(page.Devices) < pairPage {
			return all, nil
		}
		q.After = page.Devices[len(page.Devices)-1].Seq
	}
}

// writeDevices is for people. Lines about insecure devices are red.
func writeDevices(w io.Writer, colour bool, all []pairing.Entry, now time.Time) error {
	var table bytes.Buffer
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CODE\tSTATE\tCLIENT\tLISTENER\tADDRESS\tPRESENTS\tFIRST SEEN\tLAST SEEN\tTRIES\tUSER")
	for _, e := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			e.Code, e.State, plainName(e.Client), plainName(e.Listener), cmp.Or(e.Address, "local"), presents(e),
			ago(now, e.First), ago(now, e.Last), e.Tries, grant(e))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	lines := strings.SplitAfter(table.String(), "\n")
	for i := range all {
		if line := strings.TrimRight(lines[i+1], " \n"); all[i].Insecure {
			lines[i+1] = paint(colour, color.FgRed, line) + "\n"
		} else {
			lines[i+1] = line + "\n"
		}
	}
	_, err := io.WriteString(w, strings.Join(lines, ""))
	return err
}

// grant is who an approved device is, and how long.
func grant(e pairing.Entry) string {
	if e.State != pairing.Approved && e.State != pairing.Expired {
		return ""
	}
	if e.Until == nil {
		return plainName(e.Name)
	}
	return plainName(e.Name) + " until " + e.Until.Local().Format(time.DateTime)
}

// presents is what the approval of a device is bound to.
func presents(e pairing.Entry) string {
	what := e.Proof.String()
	switch e.Proof {
	case pairing.Key:
		return "key " + e.Fingerprint[:min(16, len(e.Fingerprint))]
	case pairing.Bare:
		what = "INSECURE: id only"
	}
	if e.Username != nil {
		what += ", user " + plainName(*e.Username)
	}
	return what
}

// plainName is a name as one word that leaves room for others.
func plainName(name string) string {
	const most = 40
	if name = pairing.Printable(name); len(name) > most {
		name = name[:most-3] + "..."
	}
	return name
}

// ago is how long ago t was.
func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", max(0, d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	default:
		return fmt.Sprintf("%dd ago", d/(24*time.Hour))
	}
}

// asciiJSON escapes everything in JSON that is not ASCII, which means the same:
// on a terminal names of strangers do no harm.
func asciiJSON(text []byte) []byte {
	var b []byte
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			b = append(b, byte(r))
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		}
	}
	return b
}

// parseLifetime reads "90s", "8h" or "30d".
func parseLifetime(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(s)
}
