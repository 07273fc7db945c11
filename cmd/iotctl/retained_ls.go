package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
)

func newRetainedLs() *cobra.Command {
	return clientCommand(progRetainedLs, &cobra.Command{
		Use:   "ls [url] filter... [options]",
		Short: "List retained messages with size and QoS",
		Long: `Lists the retained messages that fit the filters, with the size of the payload and
the QoS they were published with.

MQTT does not tell when a message was published. AGE is there where a publisher says
so in a user property called time, timestamp, ts or __ts: RFC 3339, or seconds or
milliseconds since 1970. EXPIRES is there for messages that the broker will forget.`,
		Example: `  iotctl retained ls '#'
  iotctl retained ls 'sensors/#' 'config/+' --sort size
  iotctl retained ls '$SYS/#' -o jsonl`,
		Args: cobra.ArbitraryArgs,
	}, runRetainedLs)
}

// retainedRow is a line of the table.
type retainedRow struct {
	topic   string
	size    int
	qos     uint8
	age     time.Duration // below 0: unknown
	expires time.Duration // below 0: never
}

func runRetainedLs(ctx context.Context, s *settings, t *terminal) error {
	filters, err := s.retainedFilters("all")
	if err != nil {
		return err
	}
	return withKeeper(ctx, s, t, filters, func(ctx context.Context, k *keeper) error {
		topics, _, err := k.topics(ctx)
		if err != nil {
			return err
		}
		out := recording.NewLines(t.out)
		var rows []retainedRow
		total := 0
		err = k.messages(ctx, topics, func(_ string, m *recording.Message) error {
			if m == nil {
				return nil // gone meanwhile
			}
			total += len(m.Payload)
			rows = append(rows, rowOf(m))
			if s.output == "jsonl" {
				return out.Message(m)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.output == "jsonl" {
			err = out.Flush()
		} else {
			err = writeRetained(t, rows, s.sortBy)
		}
		if err == nil && !s.quiet {
			t.notef("%s, %s of payload", counted(len(rows), "retained message"), counted(total, "byte"))
		}
		return err
	})
}

func rowOf(m *recording.Message) retainedRow {
	r := retainedRow{topic: m.Topic, size: len(m.Payload), qos: m.QoS, age: -1, expires: -1}
	if n, ok := m.Properties.Uint32(mqtt.PropMessageExpiryInterval); ok {
		r.expires = time.Duration(n) * time.Second
	}
	for p := range m.Properties.All() {
		if p.ID != mqtt.PropUserProperty {
			continue
		}
		switch strings.ToLower(string(p.Bytes)) {
		case "time", "timestamp", "ts", "__ts":
			if at, ok := parseStamp(string(p.Value)); ok && at.Before(m.Time) {
				r.age = m.Time.Sub(at)
			}
		}
	}
	return r
}

// parseStamp reads RFC 3339, or seconds or milliseconds since 1970, with a fraction or
// something behind a colon.
func parseStamp(s string) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, true
	}
	s, _, _ = strings.Cut(s, ":")
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 1e8 && f < 1e14) {
		return time.Time{}, false
	}
	if f > 1e11 { // seconds would be the year 5138
		f /= 1000
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// writeRetained writes the table; columns of which nothing is known are left out.
func writeRetained(t *terminal, rows []retainedRow, order string) error {
	if by := retainedOrders[order]; by != nil {
		slices.SortStableFunc(rows, func(a, b retainedRow) int { return by(&a, &b) })
	}
	aged := slices.ContainsFunc(rows, func(r retainedRow) bool { return r.age >= 0 })
	expiring := slices.ContainsFunc(rows, func(r retainedRow) bool { return r.expires >= 0 })
	w := bufio.NewWriter(t.out)
	if len(rows) > 0 {
		fmt.Fprintf(w, "%9s  QoS", "SIZE")
		column(w, aged, "AGE")
		column(w, expiring, "EXPIRES")
		fmt.Fprintln(w, "  TOPIC")
	}
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(w, "%9d  %3d", r.size, r.qos)
		column(w, aged, span(r.age))
		column(w, expiring, span(r.expires))
		_, _ = w.Write(append(appendShown([]byte("  "), r.topic, t.outTTY), '\n'))
	}
	return w.Flush()
}

func column(w *bufio.Writer, there bool, text string) {
	if there {
		fmt.Fprintf(w, "  %8s", text)
	}
}

// span is a time in two units at most, as in 3d4h; - below 0.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	unknown := d < 0
	d = d.Round(time.Second)
	switch {
	case unknown:
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
