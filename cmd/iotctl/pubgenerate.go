package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/generate"
)

// generated is --generate and --rows.
type generated struct {
	s       *settings
	in      io.Reader // standard input
	message client.Message
	made    *generate.Generator
	file    *os.File // of --rows; nil: standard input, or none

	n      int // messages of this pass over the rows, or of the run
	total  int
	passes int // over the rows that remain; 0: no bound
}

// newGenerated reads the templates and opens the rows.
func newGenerated(s *settings, t *terminal, m client.Message) (*generated, error) {
	if !s.seeded {
		s.seed = rand.Uint64()
	}
	g := &generated{s: s, in: t.in, message: m, passes: s.messages()}
	if s.rowsFile != "" && !s.repeatSet && s.sendFor == 0 {
		g.passes = 1
	}
	topic, err := parseTemplate("-t", m.Topic, s.seed+1)
	if err != nil {
		return nil, err
	}
	var payload *generate.Template
	if s.generateText != nil {
		if payload, err = s.payloadTemplate(); err != nil {
			return nil, err
		}
	}
	var rows *generate.Rows
	if s.rowsFile != "" {
		if rows, err = g.open(); err != nil {
			return nil, err
		}
		if err := rows.Check(topic); err != nil {
			return nil, fail(exitUsage, fmt.Errorf("-t: %w", err))
		}
		if payload != nil {
			if err := rows.Check(payload); err != nil {
				return nil, fail(exitUsage, fmt.Errorf("--generate: %w", err))
			}
		}
	}
	if g.made, err = generate.New(topic, payload, rows); err != nil {
		return nil, fail(exitUsage, err, "--rows FILE")
	}
	return g, nil
}

// payloadTemplate is the one of --generate, or of the file that it names.
func (s *settings) payloadTemplate() (*generate.Template, error) {
	text, name := *s.generateText, "--generate"
	if file, ok := strings.CutPrefix(text, "@"); ok {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fail(exitFailed, err)
		}
		text, name = strings.TrimSuffix(string(b), "\n"), file
	}
	return parseTemplate(name, text, s.seed)
}

func parseTemplate(name, text string, seed uint64) (*generate.Template, error) {
	parsed, err := generate.Parse(text, seed)
	problem := (*generate.SyntaxError)(nil)
	if !errors.As(err, &problem) {
		return parsed, err
	}
	hints := didYouMean(problem.Word, slices.Values(generate.Names()))
	if len(hints) == 0 && problem.Word != "" {
		hints = []string{fmt.Sprintf("{{.%s}} is a column of --rows", problem.Word)}
	}
	hints = append(hints, "iotctl help generators")
	return nil, fail(exitUsage, fmt.Errorf("%s, byte %d: %w", name, problem.Offset+1, err), hints...)
}

// open begins with the first row.
func (g *generated) open() (*generate.Rows, error) {
	in := g.in
	if g.s.rowsFile != "-" {
		f, err := os.Open(g.s.rowsFile)
		if err != nil {
			return nil, fail(exitFailed, err)
		}
		if g.file != nil {
			g.file.Close()
		}
		g.file, in = f, f
	} else if g.passes != 1 {
		return nil, usagef("--rows -: standard input can be read only once, without --repeat and --for")
	}
	rows, err := generate.NewRows(in, cmp.Or(g.s.maxLine, defaultMaxLine))
	if err != nil {
		return nil, fail(exitMalformed, fmt.Errorf("%s: %w", g.s.rowsFile, err))
	}
	return rows, nil
}

// more begins with the rows again where that is due.
func (g *generated) more() (bool, error) {
	if g.s.rowsFile == "" {
		return g.passes == 0 || g.total < g.passes, nil
	}
	if g.made.More() {
		return true, nil
	}
	if err := g.again(); err != nil {
		return false, err
	}
	return g.made.More(), nil
}

func (g *generated) next(due time.Duration) (client.Message, error) {
	m := g.message
	topic, text, err := g.made.Next(due, time.Now())
	g.n++
	g.total++
	where := fmt.Sprintf("message %d", g.total)
	if bad := (*generate.RowError)(nil); errors.As(err, &bad) {
		return m, &badInput{where: g.s.rowsFile, err: err}
	}
	if err != nil {
		return m, fail(exitFailed, fmt.Errorf("%s: %w", where, err))
	}
	m.Topic = topic
	if err := g.s.checkMade(topic); err != nil {
		return m, &badInput{where: where, err: err}
	}
	if err := g.s.typed(&m, text); err != nil {
		return m, &badInput{where: where, err: err}
	}
	return m, nil
}

// again begins the next pass over the rows, unless this was the last.
func (g *generated) again() error {
	if g.n == 0 || g.passes == 1 {
		return nil
	}
	if g.passes > 1 {
		g.passes--
	}
	g.n = 0
	rows, err := g.open()
	if err == nil {
		g.made.Restart(rows)
	}
	return err
}

// checkMade says what is wrong with a topic that was generated.
func (s *settings) checkMade(topic string) error {
	if s.device == nil && !validName(topic) {
		return fmt.Errorf("%q is no topic to publish to", topic)
	}
	return s.checkLineTopic(topic)
}
