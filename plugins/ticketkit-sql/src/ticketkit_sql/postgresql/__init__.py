"""PostgreSQL: decisions in batches through asyncpg, everything else through SQLAlchemy's async engine."""
