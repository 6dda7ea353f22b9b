"""Settings of a service, read once from the environment (prefix `HEADRACE_`, nested by `__`)."""

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace_kit.delta import refuse_root


class Http(BaseModel):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = 8000
    grace_seconds: float = 0.5
    """Between SIGTERM (not ready, new work refused) and the closing of the socket. In a cluster a
    little more than the readiness probe's period."""
    drain_seconds: int = 10
    """How long requests under way may take to end after that."""
    max_body_bytes: int = Field(2 * 1024 * 1024, ge=1)
    """The largest body of a request; more is a 413 before it is read. A path that takes files has
    a limit of its own."""


class Kafka(BaseModel):
    """How the service reads and writes events."""

    bootstrap_servers: str = "localhost:9092"
    static_membership: bool = True
    """Whether a replica with a declared name (`instance`) keeps its partitions while it is away."""
    session_timeout_ms: int = 10_000
    """A replica that is back within it takes its partitions again without a rebalance."""
    rebalance_timeout_ms: int = 30_000
    """How long a rebalance waits for members to finish what is under way."""
    max_poll_interval_ms: int = 900_000
    """A consumer that polls nothing for so long is held to be stuck: above any handler's time."""
    silence_seconds: float = 45.0
    """A consumer that Kafka has not answered for so long joins its group anew: longer than a
    rebalance and a session together."""
    drain_seconds: float = 10.0
    """How long a stop waits for records under way; what is not done then is done again later."""
    retry_backoff_seconds: tuple[float, ...] = (0.1, 0.5, 2.0, 5.0)
    """Waits between attempts at one record; after the last it is dead-lettered."""
    retry_jitter: float = Field(0.2, ge=0, lt=1)
    """Each wait is longer or shorter by up to this share of it."""
    max_blocking_seconds: float = Field(30.0, gt=0)
    """All attempts and waits of one record together; then it is dead-lettered in any case."""
    dead_letter_limit: int = 200
    """More dead letters than this within a minute halt the consumer: something is wrong."""
    max_record_bytes: int = 1_000_000
    """The largest event that is sent: a little less than what a Kafka topic takes by default."""


class Database(BaseModel):
    """The service's own database: SQLite embedded, PostgreSQL in production."""

    url: str = "sqlite+aiosqlite:///headrace.db"
    inbox_days: float = 61.0
    """How long handled event ids are kept: twice the longest retention of a topic, or longer."""
    jobs_days: float = 90.0
    """How long ended jobs are kept. No less than `inbox_days`: an event that comes again would
    enqueue its job again."""


class Storage(BaseModel):
    """Root of the Delta tables and files: a folder or a file://, s3://, gs:// or az:// URI."""

    root: str = "storage"

    @field_validator("root")
    @classmethod
    def _can_hold_tables(cls, root: str) -> str:
        if reason := refuse_root(root):
            raise ValueError(reason)
        return root


class Mlflow(BaseModel):
    """The MLflow tracking server."""

    url: str = "http://127.0.0.1:5000"


class Ray(BaseModel):
    """The Ray head's GCS address, host:port."""

    address: str = "127.0.0.1:6379"


class Upkeep(BaseModel):
    """When Delta tables are tidied up, in services that write some."""

    look_seconds: float = Field(300.0, gt=0)
    small_files: int = Field(32, ge=2)
    """So many small files of a table are put together."""
    vacuum_seconds: float = Field(3_600.0, ge=0)
    """How often a table's dead files are looked for."""
    keep_hours: int = Field(24, ge=1)
    """How long a file that no version has any more stays, for who reads an older one right now."""


class Telemetry(BaseModel):
    """Where spans go; nothing is exported without an endpoint."""

    otlp_endpoint: str | None = None
    otlp_headers: str = ""
    traces_per_second: float = 10.0
    log_level: str = "INFO"


class ServiceSettings(BaseSettings):
    """What every service needs to know; services extend it."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", env_nested_delimiter="__", extra="ignore"
    )

    http: Http = Field(default_factory=Http)
    kafka: Kafka = Field(default_factory=Kafka)
    database: Database = Field(default_factory=Database)
    storage: Storage = Field(default_factory=Storage)
    mlflow: Mlflow = Field(default_factory=Mlflow)
    ray: Ray = Field(default_factory=Ray)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    instance: str | None = None
    """Stable name of this replica, its own: a restarted one goes on at once where it was, a second
    process under the name does not start. None: a name that no other has, of this start only."""
