package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// contender is one of the two that are compared.
type contender int

const (
	theirs contender = iota
	ours
)

func (c contender) String() string { return [...]string{"mosquitto", "iotctl"}[c] }

// load runs the programs against one broker.
type load struct {
	addr    string
	version version
	iotctl  string
	dir     string // for files
	topics  int    // used so far
}

// line is a message with its newline.
var line = []byte("2026-01-31T12:00:00Z 21.5 C 40%\n")

const (
	// calibration is how many lines are published at first, to learn how many
	// take the time that a run should take.
	calibration = 5000
	// queueMost is how far our publisher may be ahead of what a subscriber
	// has printed: less than a broker queues for a client by default.
	queueMost = 900
	// silence is how long nothing must have arrived for a run to be over.
	silence = 300 * time.Millisecond
	// runMost bounds one run.
	runMost = 30 * time.Second
)

// topic returns a new one, so that nothing of another run is counted.
func (l *load) topic() string {
	l.topics++
	return fmt.Sprintf("compare/%d", l.topics)
}

// command prepares pub or sub of a contender.
func (l *load) command(ctx context.Context, who contender, what string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(l.addr)
	args = append([]string{"-h", host, "-p", port, "-V", l.version.flag}, args...)
	name := "mosquitto_" + what
	if who == ours {
		name, args = l.iotctl, append([]string{what}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(l.dir, "none")) // nobody's default options
	cmd.Stderr = os.Stderr
	return cmd
}

// publishing measures pub -l at qos with runs of about the length of run.
func (l *load) publishing(qos uint8, run time.Duration) func(context.Context, contender) (float64, error) {
	lines := [2]int{calibration, calibration}
	return func(ctx context.Context, who contender) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, runMost)
		defer cancel()
		rate, err := l.publish(ctx, who, qos, lines[who])
		lines[who] = max(calibration, int(rate*run.Seconds()))
		return rate, err
	}
}

// publish sends n lines and returns how many arrived per second.
func (l *load) publish(ctx context.Context, who contender, qos uint8, n int) (rate float64, err error) {
	input := filepath.Join(l.dir, "lines")
	if err := os.WriteFile(input, bytes.Repeat(line, n), 0o600); err != nil {
		return 0, err
	}
	stdin, err := os.Open(input)
	if err != nil {
		return 0, err
	}
	defer func() { _ = stdin.Close() }()
	topic := l.topic()
	sub, err := connect(ctx, l.addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Close() }()
	if err := sub.subscribe(topic); err != nil {
		return 0, err
	}

	cmd := l.command(ctx, who, "pub", "-q", fmt.Sprint(qos), "-t", topic, "-l")
	cmd.Stdin = stdin
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	exited := make(chan error, 1)
	go func() {
		exited <- cmd.Wait()
		_ = sub.SetReadDeadline(time.Now().Add(silence)) // for lines that were lost
	}()
	got, last := 0, start
	for got < n {
		more, err := sub.arrivals()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			_ = cmd.Process.Kill()
			return 0, errors.Join(err, <-exited)
		}
		got += more
		last = time.Now()
	}
	if err := <-exited; err != nil {
		return 0, err
	}
	if got == 0 {
		return 0, errors.New("nothing arrived")
	}
	return float64(got) / last.Sub(start).Seconds(), nil
}

// subscribing measures sub at qos for the time of run.
func (l *load) subscribing(qos uint8, run time.Duration) func(context.Context, contender) (float64, error) {
	return func(ctx context.Context, who contender) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, runMost)
		defer cancel()
		return l.subscribe(ctx, who, qos, run)
	}
}

// subscribe returns how many messages were printed per second.
func (l *load) subscribe(ctx context.Context, who contender, qos uint8, run time.Duration) (rate float64, err error) {
	topic := l.topic()
	pub, err := connect(ctx, l.addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = pub.Close() }()
	go pub.discard() // acknowledgements

	cmd := l.command(ctx, who, "sub", "-q", fmt.Sprint(qos), "-t", topic)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	printed := newTally()
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		printed.count(stdout)
	}()
	defer func() {
		_ = cmd.Process.Kill()
		<-counted
		_ = cmd.Wait()
	}()

	if err := awaitSubscriber(ctx, pub, topic, printed); err != nil {
		return 0, err
	}
	p := newBurst(topic, qos, bytes.TrimSpace(line), queueMost)
	before, start := printed.lines(), time.Now()
	for sent := before; time.Since(start) < run || printed.lines() == before; {
		// Half a window at a time: a publisher that sends a message for each
		// that was printed would be busier than anybody else.
		if err := printed.wait(ctx, sent-queueMost/2); err != nil {
			return 0, err
		}
		n := queueMost - (sent - printed.lines())
		if _, err := pub.Write(p.messages(n)); err != nil {
			return 0, err
		}
		sent += n
	}
	return float64(printed.lines()-before) / time.Since(start).Seconds(), nil
}

// awaitSubscriber publishes until something is printed, and then waits until
// nothing more is.
func awaitSubscriber(ctx context.Context, pub *peer, topic string, printed *tally) error {
	probe := newBurst(topic, 0, []byte("probe"), 1).messages(1)
	for printed.lines() == 0 {
		if _, err := pub.Write(probe); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing is printed: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	for seen := -1; seen != printed.lines(); time.Sleep(50 * time.Millisecond) {
		seen = printed.lines()
	}
	return nil
}

// oneShot measures the milliseconds from the start of pub to its end.
func (l *load) oneShot(qos uint8) func(context.Context, contender) (float64, error) {
	return func(ctx context.Context, who contender) (float64, error) {
		cmd := l.command(ctx, who, "pub", "-q", fmt.Sprint(qos), "-t", "compare", "-m", "21.5")
		start := time.Now()
		err := cmd.Run()
		return float64(time.Since(start).Microseconds()) / 1000, err
	}
}
