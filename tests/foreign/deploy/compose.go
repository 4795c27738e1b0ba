package deploy

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../../../deploy/compose.yaml"

// Users of the images: the node's, and `postgres` in PostgreSQL's.
const (
	nodeUser     = 10001
	databaseUser = 999
)

// load validates against the JSON Schema of the Compose specification that comes with its reference implementation.
func load(text string) (*types.Project, error) {
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "../../../deploy",
		ConfigFiles: []types.ConfigFile{{Filename: composeFile, Content: []byte(text)}},
		Environment: map[string]string{},
	})
}

// holdsSecret says whether a value of the environment is a secret rather than where one lies.
func holdsSecret(name, value string) bool {
	if strings.Contains(name, "PASS") && !strings.HasSuffix(name, "FILE") {
		return true
	}
	address, err := url.Parse(value)
	if err != nil {
		return true
	}
	_, hasPassword := address.User.Password()
	return hasPassword || address.Query().Has("password")
}

// confinementFaults says what a service may do beyond its work.
func confinementFaults(service types.ServiceConfig, user int) []string {
	var faults []string
	if !service.ReadOnly || service.Privileged || service.User != fmt.Sprintf("%d:%d", user, user) {
		faults = append(faults, "user or file system")
	}
	if strings.Join(service.CapDrop, "") != "ALL" || len(service.CapAdd) > 0 || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
		faults = append(faults, "privileges")
	}
	if service.NetworkMode != "" || service.Pid != "" || service.Ipc != "" {
		faults = append(faults, "shares the machine")
	}
	if service.Restart == "" || service.MemLimit == 0 || service.CPUS == 0 || service.PidsLimit == 0 || service.HealthCheck == nil {
		faults = append(faults, "restart, limits or health")
	}
	for name, value := range service.Environment {
		if value == nil || holdsSecret(name, *value) {
			faults = append(faults, "a secret in "+name)
		}
	}
	return faults
}

// placeFaults compares what a service is given with what is its own.
func placeFaults(service types.ServiceConfig, networks []string, secret, volume string) []string {
	var faults []string
	given := service.NetworksByPriority()
	slices.Sort(given)
	if !slices.Equal(given, networks) {
		faults = append(faults, fmt.Sprintf("networks %v", given))
	}
	if len(service.Secrets) != 1 || service.Secrets[0].Source != secret {
		faults = append(faults, "secrets of others")
	}
	if len(service.Volumes) != 1 || !strings.HasSuffix("/"+service.Volumes[0].Source, "/"+volume) {
		faults = append(faults, "data of others")
	}
	return faults
}

// composeFaults names the rules that a project of the members breaks.
func composeFaults(project *types.Project, members []string) []string {
	var faults []string
	add := func(name string, some []string) {
		for _, fault := range some {
			faults = append(faults, name+": "+fault)
		}
	}
	for _, member := range members {
		database, rows := member+"-db", member+"-rows"
		node, mover, server := project.Services[member], project.Services[rows], project.Services[database]
		add(member, confinementFaults(node, nodeUser))
		add(rows, confinementFaults(mover, nodeUser))
		add(database, confinementFaults(server, databaseUser))
		inside := []string{"consensus", database}
		slices.Sort(inside)
		add(member, placeFaults(node, inside, member+"-pgpass", member))
		add(rows, placeFaults(mover, []string{database}, member+"-pgpass", member))
		add(database, placeFaults(server, []string{database}, member+"-password", database))
		add(member, orderFaults(node, rows, types.ServiceConditionCompletedSuccessfully))
		add(rows, orderFaults(mover, database, types.ServiceConditionHealthy))
		for _, service := range []types.ServiceConfig{node, mover} {
			if store := service.Environment["SALUS_DATABASE"]; store == nil || *store != "postgres://salus@"+database+":5432/salus" {
				faults = append(faults, service.Name+": another's database, or none")
			}
		}
		if !project.Networks[database].Internal || len(server.Ports)+len(mover.Ports) > 0 {
			faults = append(faults, database+": reachable from outside")
		}
		if arguments := server.Environment["POSTGRES_INITDB_ARGS"]; arguments == nil || !strings.Contains(*arguments, "--data-checksums") {
			faults = append(faults, database+": without checksums")
		}
	}
	for name, secret := range project.Secrets {
		if secret.File == "" || secret.Content != "" {
			faults = append(faults, name+": not from a file")
		}
	}
	return faults
}

func orderFaults(service types.ServiceConfig, after, condition string) []string {
	if service.DependsOn[after].Condition != condition {
		return []string{"does not wait for " + after}
	}
	return nil
}
